"""Write a copy of a DLL in which some functions are forwarded to another DLL.

python forward_exports.py ucrtbase.dll complex_math.dll changed.dll

All functions that the second DLL has are forwarded. The new table of exports is a new section at
the end of the copy. Of what a DLL is made: https://learn.microsoft.com/windows/win32/debug/pe-format
"""

import struct
import sys
from pathlib import Path

import pefile

TABLE = struct.Struct("<IIHHIIIIIII")  # IMAGE_EXPORT_DIRECTORY
SECTION = struct.Struct("<8sIIIIIIHHI")  # IMAGE_SECTION_HEADER
READABLE_DATA = 0x40000040  # the characteristics of the new section


def exports_of(path: str) -> tuple[pefile.PE, dict[str, int]]:
    """A DLL, and its functions: their numbers, counted from 0, by their names."""
    dll = pefile.PE(path, fast_load=True)
    dll.parse_data_directories([0])
    table = dll.DIRECTORY_ENTRY_EXPORT
    named = (each for each in table.symbols if each.name)
    return dll, {each.name.decode(): each.ordinal - table.struct.Base for each in named}


def rounded(size: int, unit: int) -> int:
    """The next multiple of the unit."""
    return -(-size // unit) * unit


def new_exports(dll: pefile.PE, forwarded: dict[int, bytes], address: int, name: bytes) -> bytes:
    """A table of exports for this address, with the forwarded functions (by number)."""
    old, place = dll.DIRECTORY_ENTRY_EXPORT.struct, dll.OPTIONAL_HEADER.DATA_DIRECTORY[0]
    count, names = old.NumberOfFunctions, old.NumberOfNames
    functions = [*struct.unpack(f"<{count}I", dll.get_data(old.AddressOfFunctions, 4 * count))]
    lists = dll.get_data(old.AddressOfNames, 4 * names)
    lists += dll.get_data(old.AddressOfNameOrdinals, 2 * names)
    texts = name + b"\0"
    base = address + TABLE.size  # of the functions; then come the names, their numbers, and texts
    for number, function in enumerate(functions):
        if place.VirtualAddress <= function < place.VirtualAddress + place.Size:
            forwarded.setdefault(number, dll.get_string_at_rva(function))  # as it was
        if number in forwarded:
            functions[number] = base + 4 * count + len(lists) + len(texts)
            texts += forwarded[number] + b"\0"
    starts = base, base + 4 * count, base + 4 * count + 4 * names
    name_at = base + 4 * count + len(lists)
    table = TABLE.pack(0, 0, 0, 0, name_at, old.Base, count, names, *starts)
    return table + struct.pack(f"<{count}I", *functions) + lists + texts


def main(source: str, other: str, target: str) -> None:
    """Write the copy."""
    dll, functions = exports_of(source)
    library = Path(other).stem.encode()
    shared = functions.keys() & exports_of(other)[1].keys()
    forwarded = {functions[name]: library + b"." + name.encode() for name in shared}
    header, data = dll.OPTIONAL_HEADER, bytearray(Path(source).read_bytes())
    last = max(dll.sections, key=lambda section: section.VirtualAddress)
    end = last.VirtualAddress + max(last.Misc_VirtualSize, last.SizeOfRawData)
    address = rounded(end, header.SectionAlignment)
    exports = new_exports(dll, forwarded, address, Path(source).name.encode())
    start, size = rounded(len(data), header.FileAlignment), len(exports)
    stored = rounded(size, header.FileAlignment)
    data += bytes(start - len(data)) + exports + bytes(stored - size)
    section = SECTION.pack(b".edata2", size, address, stored, start, 0, 0, 0, 0, READABLE_DATA)
    place = dll.sections[-1].get_file_offset() + SECTION.size
    assert place + SECTION.size <= header.SizeOfHeaders, "no room for another section's header"
    data[place : place + SECTION.size] = section
    count = dll.FILE_HEADER.NumberOfSections + 1
    struct.pack_into("<H", data, dll.FILE_HEADER.get_file_offset() + 2, count)
    image = rounded(address + size, header.SectionAlignment)
    struct.pack_into("<I", data, header.get_file_offset() + 56, image)
    struct.pack_into("<II", data, header.DATA_DIRECTORY[0].get_file_offset(), address, size)
    # Wine would load its own file in the place of one that has this mark
    changed = data.replace(b"Wine builtin DLL", b"Wine changed DLL", 1)
    Path(target).write_bytes(changed)
    print(f"{len(shared)} functions of {source} are forwarded to {other}")


if __name__ == "__main__":
    main(*sys.argv[1:])
