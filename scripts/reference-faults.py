"""Plants the faults of a list in a C++ source, each behind a switch, and reads what trace named."""

import json
import os
import re
import sys

HEADER = """#pragma once
#include <stdlib.h>
static inline int fault_is(int number) {
    static int chosen = -1;
    if (chosen < 0) {
        const char * set = getenv("REFERENCE_FAULT");
        chosen = set ? atoi(set) : 0;
    }
    return chosen == number;
}
"""


def plant(rows, root):
    """Every place of a piece of code is changed; one that is not there is an error."""
    for number, row in enumerate(rows, 1):
        _, file, code, fault = row.rstrip("\n").split("\t")
        path = os.path.join(root, file)
        text = open(path).read()
        if code not in text:
            sys.exit(f"row {number}: {file} does not have {code!r}")
        switched = fault.replace("@", f"fault_is({number})")
        open(path, "w").write(text.replace(code, switched))
    open(os.path.join(root, "fault.h"), "w").write(HEADER)


def named(entries):
    """The first blamed node, without its layer and occurrence: what the list names."""
    for entry in entries:
        blamed = entry.get("located", {}).get("blamed")
        if blamed:
            name, operation = blamed["key"].split("|")
            return re.sub(r"-\d+$", "", name) + "|" + operation.split("#")[0]
    return None


def main():
    if sys.argv[1] == "plant":
        plant(open(sys.argv[2]).readlines(), sys.argv[3])
    else:
        operation = named(json.load(sys.stdin))
        if operation:
            print(operation)


main()
