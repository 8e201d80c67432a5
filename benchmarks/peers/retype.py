"""GGUF file → the same weights in another type, for llamacpp.py. Norms stay float32.

In: a .gguf file, out: another one. Whoever measures llama.cpp should measure the type that it likes best.
"""

import argparse

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize

FILE_TYPES = {"Q4_0": "MOSTLY_Q4_0", "Q8_0": "MOSTLY_Q8_0", "BF16": "MOSTLY_BF16", "F32": "ALL_F32"}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("source")
    p.add_argument("target")
    p.add_argument("type", choices=FILE_TYPES)
    a = p.parse_args()
    reader = GGUFReader(a.source)
    writer = GGUFWriter(a.target, reader.get_field("general.architecture").contents())
    copy_fields(reader, writer)
    writer.add_file_type(LlamaFileType[FILE_TYPES[a.type]])
    copy_tensors(reader, writer, GGMLQuantizationType[a.type])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(a.target)


def copy_fields(reader: GGUFReader, writer: GGUFWriter) -> None:
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)


def copy_tensors(reader: GGUFReader, writer: GGUFWriter, kind: GGMLQuantizationType) -> None:
    for tensor in reader.tensors:
        full = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if full.ndim < 2 or kind == GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, full)
        else:
            writer.add_tensor(tensor.name, quantize(full, kind), raw_dtype=kind)


if __name__ == "__main__":
    main()
