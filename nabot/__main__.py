"""python -m nabot"""

from nabot.cli import main

main()
