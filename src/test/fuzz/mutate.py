"""Changed inputs for a fuzzer, made with its structure in mind: values of JSON (hf, folder with the shapes of its tensors, grammar) and lines of a
model's shape (model) become extreme ones, move, go or are repeated. Usage: mutate.py TOPIC COUNT FOLDER [SEED], then build/fuzz/TOPIC_fuzz -runs=0 FOLDER"""

import copy
import glob
import json
import math
import os
import random
import struct
import sys

SEEDS = os.path.join(os.path.dirname(__file__), "seeds")
HF_DATA = os.path.join(os.path.dirname(__file__), "../../../sql-tests/data/hf")
MAX_NUMBERS = 1 << 16    # of a tensor
NUMBERS = [0, 1, -1, 2, 3, 7, 8, 31, 32, 33, 255, 256, 4095, 4096, 4097, 65535, 1 << 20, (1 << 20) + 1, (1 << 26) + 1, (1 << 31) - 1, 1 << 31,
           (1 << 32) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, 0.5, -0.5, 1e-45, 1e38, 1e308, -1e308]
OTHERS = [None, True, False, "", "a", "none", "\u0000", "\ud83d\ude00", "x" * 5000, [], {}, [[]], [0] * 3000, [""], {"a": {}}, {"type": "none"}]


def nodes(tree, path=()):
    yield path
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from nodes(tree[key], path + (key,))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def change_json(tree, rnd):
    """one change below the root"""
    paths = [p for p in nodes(tree) if p]
    if not paths:
        return
    path = rnd.choice(paths)
    parent, key = at(tree, path[:-1]), path[-1]
    how = rnd.randrange(8)
    if how <= 2:
        parent[key] = rnd.choice(NUMBERS)
    elif how == 3:
        parent[key] = copy.deepcopy(rnd.choice(OTHERS))
    elif how == 4:
        del parent[key]
    elif how == 5:
        parent[key] = copy.deepcopy(at(tree, rnd.choice(paths)))
    elif how == 6 and isinstance(parent[key], list):
        parent[key] = parent[key] * rnd.choice([0, 2, 300])
    elif how == 6 and isinstance(parent[key], (int, float)) and not isinstance(parent[key], bool):
        parent[key] = rnd.choice([-parent[key], parent[key] * 2, parent[key] + 1, parent[key] - 1, parent[key] * 1e6])
    elif how == 7:
        for _ in range(rnd.choice([1, 300])):
            parent[key] = [parent[key]] if rnd.randrange(2) else {"type": "Sequence", "anyOf": [parent[key]]}
    else:
        parent[key] = str(parent[key])[::-1]


def is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBERS


def safetensors(shapes):
    """a file of F32 tensors, empty where a shape is none or too large"""
    header, end = {}, 0
    for name, shape in shapes.items() if isinstance(shapes, dict) else []:
        n = math.prod(shape) if isinstance(shape, list) and all(map(is_size, shape)) else 0
        n = 4 * n if n <= MAX_NUMBERS else 0
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + n]}
        end += n
    text = json_text(header)
    return struct.pack("<Q", len(text)) + text + b"\x3c" * end


def change_shape(shapes, rnd):
    """a tensor gets, loses or exchanges a dimension"""
    shape = rnd.choice([s for s in shapes.values() if isinstance(s, list)] or [[]])
    how = rnd.randrange(3)
    if how == 0:
        shape.insert(rnd.randrange(len(shape) + 1), rnd.choice([0, 1, 2, 3, 8, 64]))
    elif how == 1 and shape:
        del shape[rnd.randrange(len(shape))]
    else:
        shape.reverse()


def folder_bytes(tree):
    """a whole folder, of {"config": …, "tensors": shapes by name}"""
    return json_text(tree.get("config")).replace(b"\0", b"") + b"\0\0" + safetensors(tree.get("tensors"))


def json_text(tree):
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def change_number(words, rnd):
    places = [i for i, w in enumerate(words) if i > 1 and w.lstrip("-").replace(".", "").isdigit()] or [len(words) - 1]
    words[rnd.choice(places)] = str(rnd.choice(NUMBERS))


def change_lines(lines, others, rnd):
    """one change of a model's shape"""
    i = rnd.randrange(len(lines))
    how = rnd.randrange(10)
    if i == 0:
        lines[0] = rnd.choice(others)[0]
    elif how <= 4:
        words = lines[i].split()
        change_number(words, rnd)
        lines[i] = " ".join(words)
    elif how == 5:
        del lines[i]
    elif how == 6:
        lines.insert(i, lines[i])
    elif how == 7:
        lines.insert(i, rnd.choice(rnd.choice(others)[1:] or ["u .a 1"]))
    elif how == 8 and lines[i].startswith("t "):
        words = lines[i].split()
        words[1] = str(rnd.choice([*range(43), 4294967295]))
        lines[i] = " ".join(words)
    else:
        words = lines[i].split()
        old, new = rnd.choice(words[2:] or ["0"]), str(rnd.choice(NUMBERS[:17]))
        lines[1:] = [" ".join(new if w == old else w for w in line.split()) for line in lines[1:]]


def read_seeds(topic):
    """pairs of what is changed and what stays: JSON and the rest, or lines"""
    for name in sorted(glob.glob(os.path.join(SEEDS, topic, "*"))):
        with open(name, "rb") as f:
            data = f.read()
        if topic == "model":
            yield data.decode().splitlines(), b""
        elif topic == "grammar" and data[0] in (0, 3):
            text, _, rest = data[1:].partition(b"\0")
            yield json.loads(text), rest
        elif topic in ("hf", "folder"):
            text, _, rest = data.partition(b"\0")
            yield json.loads(text), rest
    if topic == "folder":
        yield from read_folders()


def read_folders():
    with open(os.path.join(HF_DATA, "configs.json")) as f:
        configs = json.load(f).values()
    for config in configs:
        for part in [config, config.get("text_config", {})]:
            part["vocab_size"] = 300    # names are made up for all of them
        yield config, b"\0" + (2).to_bytes(8, "little") + b"{}"
    with open(os.path.join(HF_DATA, "classes.json")) as f:
        models = json.load(f, object_hook=lambda o: float(o["__float__"]) if "__float__" in o else o)["models"].values()
    for model in models:
        yield {"config": model["config"], "tensors": model["tensors"]}, None


def changed(topic, seeds, rnd):
    tree, rest = copy.deepcopy(rnd.choice(seeds))
    for _ in range(rnd.choice([1, 1, 2, 4])):
        if topic == "model":
            change_lines(tree, [s[0] for s in seeds], rnd)
        elif rest is None and isinstance(tree.get("tensors"), dict) and rnd.randrange(2):
            change_shape(tree["tensors"], rnd)
        else:
            change_json(tree, rnd)
    if topic == "model":
        return "\n".join(tree).encode() + b"\n"
    if topic == "grammar":
        return bytes([3 if rest else 0]) + json_text(tree) + (b"\0" + rest if rest else b"")
    if rest is None:
        return folder_bytes(tree)
    return json_text(tree).replace(b"\0", b"") + b"\0" + rest


def main():
    topic, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.setrecursionlimit(50000)
    rnd = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    seeds = list(read_seeds(topic))
    os.makedirs(folder, exist_ok=True)
    for i in range(count):
        with open(os.path.join(folder, "%06d" % i), "wb") as f:
            f.write(changed(topic, seeds, rnd))


main()
