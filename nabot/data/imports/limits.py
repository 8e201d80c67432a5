"""What no file of a person comes to, and a trap may: a few kilobytes of a zip can unpack to gigabytes."""

MOST_UNPACKED = (
    256 << 20
)  # bytes, or characters, of one member of an archive: no book has so much text, no day of a chat
