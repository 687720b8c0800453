"""Puts every mutant that cargo-mutants lists for the engine into one source, each behind a switch.

    mutants.py plant LIST.json TREE UNVIABLE
                                        changes TREE, prints which mutants are in it: number and name
    mutants.py unviable TREE            reads cargo's JSON, prints the numbers that do not compile
    mutants.py score RESULTS REASONS    what noticed how many, the survivors, and stale reasons

A switch costs one comparison, and one build serves all mutants. What stands where code is computed
before the program runs (constants, array lengths, `const fn`) has no switch and is counted.
"""

import collections
import json
import os
import sys

SWITCH = """
/// Whether the mutant of that number is chosen.
#[doc(hidden)]
pub fn mutant(number: u32) -> bool {
    static CHOSEN: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        let set = std::env::var("ENGINE_MUTANT").ok();
        set.and_then(|set| set.parse().ok()).unwrap_or(0)
    });
    *CHOSEN == number
}
"""

# Where a value must be known before the program runs.
CONSTANT = {"const_item", "static_item", "array_type", "enum_variant", "type_arguments", "match_pattern"}


def constant(node):
    """Whether code there is evaluated by the compiler, or may not hold a block."""
    while node is not None:
        parent = node.parent
        if node.type in CONSTANT or node.type in ("let_chain", "let_condition"):
            return True
        if node.type == "array_expression" and parent and b";" in node.text.split(b"]")[0]:
            return True
        if node.type == "function_item":
            return any(c.type == "function_modifiers" and b"const" in c.text for c in node.children)
        node = parent
    return False


class File:
    """One source: its text, its tree, its mutants by the place they change."""

    def __init__(self, path, parser):
        self.bytes = open(path, "rb").read()
        self.tree = parser.parse(self.bytes)
        starts = [0] + [i + 1 for i, b in enumerate(self.bytes) if b == 10]
        self.starts = starts
        self.edits = collections.defaultdict(list)  # node id -> [(number, mutant)]
        self.heads = {}  # byte behind a body's brace -> text
        self.switched = []

    def offset(self, place):
        line = self.bytes[self.starts[place["line"] - 1] :].split(b"\n", 1)[0].decode()
        return self.starts[place["line"] - 1] + len(line[: place["column"] - 1].encode())

    def add(self, number, mutant):
        span = mutant["span"]
        start, end = self.offset(span["start"]), self.offset(span["end"])
        node = self.tree.root_node.descendant_for_byte_range(start, end)
        if node is None:
            return False
        genre = mutant["genre"]
        if genre == "FnValue":
            return self.body(number, mutant, start, end)
        expression = node if genre in ("BinaryOperator", "UnaryOperator") else None
        while expression is not None and expression.type not in (
            "binary_expression",
            "compound_assignment_expr",
            "unary_expression",
        ):
            expression = expression.parent
            if expression is not None and expression.type in ("block", "token_tree"):
                return False
        if expression is None or constant(expression):
            return False
        self.edits[expression.id].append((number, mutant, start, end))
        return True

    def body(self, number, mutant, start, end):
        node = self.tree.root_node.descendant_for_byte_range(start, end)
        while node is not None and node.type != "function_item":
            node = node.parent
        if node is None or constant(node):
            return False
        block = node.child_by_field_name("body")
        value = mutant["replacement"]
        value = "" if value == "()" else value
        line = f" if crate::mutant({number}) {{ return {value}; }} "
        at = block.start_byte + 1
        self.heads[at] = self.heads.get(at, "") + line
        return True

    def text(self, start, end):
        """The source from one byte to another, with the heads of bodies in it."""
        out, at = b"", start
        for place in sorted(p for p in self.heads if start < p <= end):
            out += self.bytes[at:place] + self.heads[place].encode()
            at = place
        return out + self.bytes[at:end]

    def render(self, node):
        """A node with everything in it that is switched."""
        out, at = b"", node.start_byte
        for child in node.children:
            out += self.text(at, child.start_byte) + self.render(child)
            at = child.end_byte
        out += self.text(at, node.end_byte)
        for number, mutant, start, end in self.edits.get(node.id, []):
            # Only one mutant is chosen at a time, so what is in this one needs no switches.
            plain = self.bytes
            changed = plain[node.start_byte : start] + mutant["replacement"].encode()
            changed += plain[end : node.end_byte]
            statement = b";" if node.type == "compound_assignment_expr" else b""
            out = (
                f"(if crate::mutant({number}) {{ ".encode()
                + changed + statement + b" } else { " + out + statement + b" })"
            )
        return out

    def whole(self):
        root = self.tree.root_node
        return self.text(0, root.start_byte) + self.render(root) + self.bytes[root.end_byte :]


def unviable(tree):
    """The mutants in which the compiler found errors: the last switch before the end of each."""
    found = set()
    for line in sys.stdin:
        message = json.loads(line).get("message") or {}
        if message.get("level") != "error":
            continue
        for span in message["spans"]:
            text = open(os.path.join(tree, span["file_name"]), "rb").read()[: span["byte_end"]]
            at = text.rfind(b"crate::mutant(")
            if span["is_primary"] and at >= 0:
                found.add(text[at + len("crate::mutant(") :].split(b")")[0].decode())
    print("\n".join(sorted(found)))


def plant(listed, tree, dropped):
    import tree_sitter
    import tree_sitter_rust

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
    files, left = {}, collections.Counter()
    dropped = set(open(dropped).read().split())
    for number, mutant in enumerate(json.load(open(listed)), 1):
        if str(number) in dropped:
            left["does not compile"] += 1
            continue
        path = os.path.join(tree, mutant["file"])
        if path not in files:
            files[path] = File(path, parser)
        if files[path].add(number, mutant):
            print(f"{number}\t{mutant['name']}")
        else:
            left[mutant["genre"]] += 1
    for path, file in files.items():
        open(path, "wb").write(file.whole())
    root = os.path.join(tree, "engine/src/lib.rs")
    open(root, "a").write(SWITCH)
    print(f"without a switch: {dict(left)}", file=sys.stderr)


def score(results, reasons):
    """RESULTS has a line a mutant: number, who noticed it first or `nothing`, name."""
    rows = [line.rstrip("\n").split("\t") for line in open(results)]
    known = dict(line.rstrip("\n").split("\t") for line in open(reasons) if not line.startswith("#"))
    for oracle, count in collections.Counter(row[1] for row in rows).most_common():
        print(f"{oracle}: {count} of {len(rows)}")
    survivors = {row[2] for row in rows if row[1] == "nothing"}
    for name in sorted(survivors):
        print(f"survives  {name}: {known.get(name, 'NO REASON')}")
    asked = {row[2] for row in rows}
    stale = [name for name in known if name in asked and name not in survivors]
    for name in stale:
        print(f"stale     {name} is noticed; its reason must go")
    sys.exit(bool(stale or survivors - known.keys()))


{"plant": plant, "unviable": unviable, "score": score}[sys.argv[1]](*sys.argv[2:])
