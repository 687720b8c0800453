"""Puts every mutant that cargo-mutants lists into one source, each behind a switch of its own.

    plant_mutants.py plant LIST TREE DROPPED   changes TREE, writes JSON: what is in it, what not
    plant_mutants.py unviable TREE             reads cargo's JSON, writes what does not compile

A switch costs one comparison, and one build serves all mutants. What is computed before the
program runs (constants, lengths of arrays, `const fn`) has no switch and is counted. With
ENGINE_MUTANT=reach the program writes the numbers of all switches it passes to the file
ENGINE_MUTANT_REACHED.
"""

import collections
import json
import os
import re
import sys

SWITCH = """
/// The mutant that is chosen; 0 for none.
static mut CHOSEN: u32 = 0;
const REACH: u32 = u32::MAX;

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = choose;

extern "C" fn choose() {
    let set = std::env::var("ENGINE_MUTANT").unwrap_or_default();
    let chosen = if set == "reach" { REACH } else { set.parse().unwrap_or(0) };
    // SAFETY: nothing else runs yet.
    unsafe { CHOSEN = chosen };
}

/// Whether the mutant of that number is chosen.
#[doc(hidden)]
#[inline(always)]
pub fn mutant(number: u32) -> bool {
    // SAFETY: it is written before `main` alone.
    let chosen = unsafe { CHOSEN };
    if chosen == REACH {
        reached(number);
    }
    chosen == number
}

#[cold]
fn reached(number: u32) {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    static SEEN: [AtomicBool; 1 << 16] = [const { AtomicBool::new(false) }; 1 << 16];
    if !SEEN[number as usize].swap(true, Ordering::Relaxed) {
        let path = std::env::var_os("ENGINE_MUTANT_REACHED").expect("where to write it");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut f| f.write_all(format!("{number}\\n").as_bytes())).expect("written");
    }
}
"""

# Where a value must be known before the program runs.
CONSTANT = {
    "const_item",
    "static_item",
    "array_type",
    "enum_variant",
    "type_arguments",
    "const_block",
}


def constant(node):
    """Whether code there is evaluated by the compiler, or may not hold a block."""
    while node is not None:
        parent = node.parent
        if node.type in CONSTANT:
            return True
        if parent is None:
            return False
        field = next((i for i, child in enumerate(parent.children) if child.id == node.id), None)
        name = None if field is None else parent.field_name_for_child(field)
        if (parent.type, name) == ("array_expression", "length"):
            return True
        if parent.type == "match_pattern" and name != "condition":
            return True
        if node.type == "function_item":
            return any(c.type == "function_modifiers" and b"const" in c.text for c in node.children)
        node = parent
    return False


class File:
    """One source: its text, its tree, and by node what is put around it."""

    def __init__(self, path, parser):
        self.bytes = open(path, "rb").read()
        self.tree = parser.parse(self.bytes)
        self.starts = [0] + [i + 1 for i, b in enumerate(self.bytes) if b == 10]
        self.around = collections.defaultdict(list)  # node id -> functions of its text

    def offset(self, place):
        line = self.bytes[self.starts[place["line"] - 1] :].split(b"\n", 1)[0].decode()
        return self.starts[place["line"] - 1] + len(line[: place["column"] - 1].encode())

    def line(self, mutant):
        start = self.starts[mutant["span"]["start"]["line"] - 1]
        return self.bytes[start:].split(b"\n", 1)[0].decode().strip()

    def above(self, mutant, *types):
        """The innermost node of one of those types that holds the place of the mutant."""
        start, end = (self.offset(mutant["span"][side]) for side in ("start", "end"))
        node = self.tree.root_node.descendant_for_byte_range(start, end)
        while node is not None and node.type not in types:
            node = node.parent
        return node, start, end

    def add(self, number, mutant):
        """Whether there is a place for its switch."""
        genre = mutant["genre"]
        if genre == "FnValue":
            return self.body(number, mutant)
        if genre in ("BinaryOperator", "UnaryOperator"):
            return self.operator(number, mutant)
        if genre in ("MatchArm", "MatchArmGuard"):
            return self.arm(number, mutant)
        return False

    def operator(self, number, mutant):
        kinds = ("binary_expression", "compound_assignment_expr", "unary_expression")
        node, start, end = self.above(mutant, *kinds, "block", "token_tree")
        if node is None or node.type not in kinds or constant(node):
            return False
        # One mutant is chosen at a time, so what is inside this one needs no switches.
        changed = self.bytes[node.start_byte : start] + mutant["replacement"].encode()
        changed += self.bytes[end : node.end_byte]
        stop = b";" if node.type == "compound_assignment_expr" else b""
        self.around[node.id].append(lambda text: switch(number, changed + stop, text + stop))
        return True

    def body(self, number, mutant):
        node, _, _ = self.above(mutant, "function_item")
        block = node and node.child_by_field_name("body")
        if block is None or constant(node):
            return False
        value = "" if mutant["replacement"] == "()" else mutant["replacement"]
        line = f"{{ if crate::mutant({number}) {{ return {value}; }} /*={number}*/ ".encode()
        self.around[block.id].append(lambda text: line + text[1:])
        return True

    def arm(self, number, mutant):
        node, _, _ = self.above(mutant, "match_arm")
        pattern = node and node.child_by_field_name("pattern")
        if pattern is None or constant(node):
            return False
        condition = pattern.child_by_field_name("condition")
        if mutant["genre"] == "MatchArmGuard":
            value = mutant["replacement"].encode()
            self.around[condition.id].append(lambda text: switch(number, value, text))
        elif condition is None:
            guard = f" if !crate::mutant({number}) /*={number}*/ ".encode()
            self.around[pattern.id].append(lambda text: text + guard)
        else:
            guard = f"!crate::mutant({number}) /*={number}*/ && (".encode()
            self.around[condition.id].append(lambda text: guard + text + b")")
        return True

    def render(self, node):
        """A node with everything in it that is switched."""
        out, at = b"", node.start_byte
        for child in node.children:
            out += self.bytes[at : child.start_byte] + self.render(child)
            at = child.end_byte
        out += self.bytes[at : node.end_byte]
        for put in self.around.get(node.id, []):
            out = put(out)
        return out

    def whole(self):
        root = self.tree.root_node
        return self.bytes[: root.start_byte] + self.render(root) + self.bytes[root.end_byte :]


def switch(number, changed, sound):
    head = f"(if crate::mutant({number}) {{ ".encode() + changed
    return head + f" }} else {{ /*={number}*/ ".encode() + sound + f" }} /*{number}>*/)".encode()


def unviable(tree):
    """The mutants in which the compiler found errors."""
    found = set()
    for line in sys.stdin:
        message = json.loads(line).get("message") or {}
        if message.get("level") != "error" or not message["spans"]:
            continue
        numbers = blamed(tree, message["spans"])
        if not numbers:
            sys.exit(f"an error outside every switch: {message['rendered']}")
        found.update(numbers)
    print("\n".join(sorted(found)))


def blamed(tree, spans):
    """The mutant whose own code the compiler points at, else the innermost switch around it all,
    else those that return early from the function: a type that it hides is that of the first."""
    spans.sort(key=lambda span: not span["is_primary"])
    for span in spans:
        text = open(os.path.join(tree, span["file_name"]), "rb").read()
        for head in re.finditer(rb"crate::mutant\((\d+)\)", text[: span["byte_start"] + 1]):
            end = text.index(b"/*=%s*/" % head[1], head.end())
            if head.start() <= span["byte_start"] < end:
                return [head[1].decode()]
    file = spans[0]["file_name"]
    here = [span for span in spans if span["file_name"] == file]
    first, last = min(s["byte_start"] for s in here), max(s["byte_end"] for s in here)
    text = open(os.path.join(tree, file), "rb").read()
    around = []
    for head in re.finditer(rb"\(if crate::mutant\((\d+)\)", text[: first + 1]):
        if text.index(b"/*%s>*/" % head[1], head.end()) >= last:
            around = [head[1].decode()]
    if around:
        return around
    lines = re.findall(rb"[^\n]*if crate::mutant\(\d+\) { return [^\n]*", text[:last])
    returns = re.findall(rb"mutant\((\d+)\) { return", lines[-1]) if lines else []
    return [number.decode() for number in returns]


def plant(listed, tree, dropped):
    import tree_sitter
    import tree_sitter_rust

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
    files, left, planted = {}, collections.Counter(), []
    dropped = set(open(dropped).read().split())
    told = collections.Counter()
    for number, mutant in enumerate(json.load(open(listed)), 1):
        path = os.path.join(tree, mutant["file"])
        file = files[path] = files.get(path) or File(path, parser)
        what = re.sub(r"^.*?:\d+:\d+: ", "", mutant["name"])
        # Without its line, a name outlives changes elsewhere in the file.
        key = f"{mutant['file']}: {what} at `{file.line(mutant)}`"
        told[key] += 1
        key += f" #{told[key]}" if told[key] > 1 else ""
        if str(number) in dropped:
            left["do not compile"] += 1
        elif file.add(number, mutant):
            planted.append({"number": number, "key": key, "name": mutant["name"]})
        else:
            left[f"{mutant['genre']} without a place for a switch"] += 1
    for path, file in files.items():
        open(path, "wb").write(file.whole())
    root = os.path.join(tree, "engine/src/lib.rs")
    text = open(root).read()
    open(root, "w").write("#![allow(warnings)]\n" + text + SWITCH)
    json.dump({"mutants": planted, "left_out": left}, sys.stdout, indent=1)


{"plant": plant, "unviable": unviable}[sys.argv[1]](*sys.argv[2:])
