"""Takes some members out of a wheel without unpacking the rest: unpack.py WHEEL DESTINATION PREFIX MEMBER…
A member ending in a slash stands for all below it. PREFIX is cut off the names. Prints the bytes written so far, a line a member and every 32 MiB.
"""
import os
import sys
import zipfile

wheel, destination, prefix = sys.argv[1:4]
wanted = sys.argv[4:]
found, written = set(), 0
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        match = next((name for name in wanted if member.filename == name or (name.endswith("/") and member.filename.startswith(name))), None)
        if match is None or member.is_dir():
            continue
        found.add(match)
        path = os.path.join(destination, os.path.relpath(member.filename, prefix))
        if os.path.relpath(path, destination).startswith(".."):
            sys.exit(f"{member.filename} would lie outside of {destination}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(member) as source, open(path, "wb") as target:
            while chunk := source.read(32 << 20):
                target.write(chunk)
                written += len(chunk)
                print(written, flush=True)
        os.chmod(path, ((member.external_attr >> 16) & 0o777) or 0o644)
missing = [name for name in wanted if name not in found]
if missing:
    sys.exit(f"the wheel has no {', '.join(missing)}")
