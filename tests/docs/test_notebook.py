"""The notebook runs from its first cell to its last, in a kernel of its own, and shows how far it is."""

import re
from pathlib import Path

import nbformat
import pytest
from chat_server import says, serving
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "my_bot.ipynb"
FEW = {"epochs": 1, "held_out": 2, "rehearsal_ratio": 0.0}


def teaches(body, number):
    """Asks about the sentences of the passage that have a number in them; says a question in other words."""
    asked = body["messages"][-1]["content"]
    if "In other words:" in asked:
        return says(f"I would like to hear about this, whatever you know: number {number}?")
    passage = re.search(r"<passage>(.*)</passage>", asked, re.DOTALL)[1]
    sentences = [
        s for s in re.findall(r"[A-Z][^.\n]*\d[^.\n]*\.", passage) if s[:20] not in asked.split("</passage>")[1]
    ]
    pairs = (
        f"Question: What is true of Pine Hill Library, as in: {s[:20]}?\nQuote: {s}\nAnswer: {s}" for s in sentences[:4]
    )
    return says("\n\n".join(pairs))


def with_parameters(notebook, **values) -> None:
    """Puts a line for each value at the end of the cell with the tag that papermill knows, too."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    known = set(re.findall(r"[A-Z]+", cell.source))
    assert known >= set(values)
    cell.source += "\n" + "\n".join(f"{name} = {value!r}" for name, value in values.items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's libraries
def test_it_runs_from_the_first_cell_to_the_last(tiny_model_folder: Path, tmp_path: Path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with serving(teaches) as server:
        with_parameters(
            notebook, BASE=str(tiny_model_folder), MINUTES=None, TEACHER=server.url, MODEL="m", SETTINGS=FEW
        )
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    bars = [o.data["text/plain"] for o in outputs if o.output_type == "display_data" and "█" in o.data["text/plain"]]
    assert len(bars) >= 3, "a teacher, a tuning run and an exam have one line each, which renews itself"
    assert (tmp_path / "bots/my_bot/report/report.html").exists()
    assert "rows; the first ones" in str(outputs)


def test_it_is_saved_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
