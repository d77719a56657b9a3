"""Damage to a run folder, drawn at random."""

import copy
import json

JSON = ("config.json", "splits.json", "verdict.json", "broken.json")
VALUES = (None, True, -1, 0.5, 1e308, "x", "", [], {}, ["x"], {"x": 1}, [[1, 2]])


def mutate(folder, rng):
    """Damages one file of a run; returns its path in the folder, and what was done."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [path for path in files if path.name in JSON]
    if named and rng.random() < 0.5:
        file = rng.choice(named)
        done = fields(file, rng)
    else:
        file = rng.choice([path for path in files if path.suffix != ".png"])
        if rng.random() < 0.5:  # Most bytes of a checkpoint are those of weights.
            saved = [path for path in files if "checkpoints" in path.parts]
            sizes = [path.stat().st_size for path in saved]
            (file,) = rng.choices(saved, sizes)
        done = rng.choice((turned, cut, emptied, removed, junk, appended))(file, rng)
    return str(file.relative_to(folder)), done


def turned(file, rng):
    content = bytearray(file.read_bytes())
    if not content:
        return junk(file, rng)
    at, bit = rng.randrange(len(content)), rng.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(bytes(content))
    return f"bit {bit} of byte {at} turned"


def cut(file, rng):
    content = file.read_bytes()
    at = rng.randrange(len(content) + 1)
    file.write_bytes(content[:at])
    return f"cut after {at} bytes"


def emptied(file, rng):
    file.write_bytes(b"")
    return "emptied"


def removed(file, rng):
    file.unlink()
    return "removed"


def junk(file, rng):
    file.write_bytes(rng.randbytes(rng.randrange(1, 200)))
    return "replaced by junk"


def appended(file, rng):
    with open(file, "ab") as end:
        end.write(rng.randbytes(5))
    return "5 bytes appended"


def fields(file, rng):
    """Removes, adds, retypes or exchanges something inside of a JSON file."""
    tree = json.loads(file.read_text())
    before = copy.deepcopy(tree)
    parents = [node for node in nodes(tree) if node]
    if not parents:
        return junk(file, rng)
    parent = rng.choice(parents)
    key = rng.choice(sorted(parent) if isinstance(parent, dict) else range(len(parent)))
    action = rng.choice(("remove", "add", "retype", "exchange", "double"))
    if action == "remove":
        del parent[key]
    elif action == "add" and isinstance(parent, dict):
        parent["other"] = rng.choice(VALUES)
    elif action == "exchange" and len(parent) > 1:
        keys = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        one, two = rng.sample(list(keys), 2)
        parent[one], parent[two] = parent[two], parent[one]
    elif action == "double" and isinstance(parent, list):
        parent.insert(key, parent[key])
    else:
        parent[key] = rng.choice(VALUES)
    if tree == before:
        return fields(file, rng)
    file.write_text(json.dumps(tree))
    return f"{action} at {key!r}"


def nodes(tree):
    """Every object and list in a tree of JSON values."""
    if isinstance(tree, dict | list):
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from nodes(value)
