#!/usr/bin/env bash
# Whether faults in the C++ are noticed and named: bitnet.cpp built once with every fault of
# scripts/reference-faults.tsv in it, each behind a switch, and asked once with each switched on.
#
#   scripts/reference-faults.sh [NUMBER...]      # all of them, or those rows of the list
#
# A row is the node that must be named, a file, a piece of its code and what that becomes, where
# @ stands for the switch. `crossval` must end with 1 (or say that the reference is unsteady or died),
# `trace` must name the node; without a fault both must agree. Ends 1 if one is missed.
#
# Needs clang, cmake, ninja and python3 (apt packages of these names); the source comes from the
# crate registry. WORK is where it is built [default: a folder that is removed]. HARNESS is the
# program [default: cargo run].
set -euo pipefail
cd "$(dirname "$0")/.."

work=${WORK:-$(mktemp -d)}
[[ -n ${WORK:-} ]] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
read -ra harness <<<"${HARNESS:-cargo run --quiet -p harness --}"

build() {
    # Building the sound one leaves its source where cargo keeps sources.
    scripts/reference.sh bitnet-portable >"$work/sound.log"
    cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/bitnet-cpp-sys-0.0.5/bitnet "$work/source"
    chmod -R u+w "$work/source"
    touch "$work/source/include/bitnet-lut-kernels.h"
    python3 scripts/reference-faults.py plant scripts/reference-faults.tsv "$work/source"
    local llama=$work/source/3rdparty/llama.cpp
    sed -i 's/^ *add_subdirectory(examples)$//' "$llama/CMakeLists.txt"
    printf '%s\n' 'int LLAMA_BUILD_NUMBER = 0;' 'char const *LLAMA_COMMIT = "unknown";' \
        'char const *LLAMA_COMPILER = "unknown";' 'char const *LLAMA_BUILD_TARGET = "unknown";' \
        >"$llama/common/build-info.cpp"
    cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DBUILD_SHARED_LIBS=ON \
        -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN' \
        -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DLLAMA_CURL=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DBITNET_X86_TL2=OFF -DBITNET_ARM_TL1=OFF \
        "-DCMAKE_C_FLAGS=-include $work/source/fault.h" \
        "-DCMAKE_CXX_FLAGS=-include $work/source/fault.h" >"$work/cmake.log"
    ninja -C "$work/build" llama >"$work/ninja.log"
    # What a tree that was built looks like.
    mkdir -p "$work/reference/lib" "$work/reference/include"
    cp -P "$work"/build/3rdparty/llama.cpp/src/libllama.* \
        "$work"/build/3rdparty/llama.cpp/ggml/src/libggml.* "$work/reference/lib/"
    cp "$llama"/include/*.h "$llama"/ggml/include/*.h "$work/reference/include/"
}

[[ -d $work/reference ]] || build

ask() { # fault, command
    REFERENCE_FAULT=$1 "${harness[@]}" "${@:2}" --reference "$work/reference" \
        --case bitnet-ishmael --case llama-ahab
}

blamed() { # fault, tokens computed together
    ask "$1" trace --json - --ubatch "$2" 2>/dev/null |
        python3 scripts/reference-faults.py named || true
}

ask 0 crossval >"$work/sound.txt" || { cat "$work/sound.txt"; echo "without a fault it differs"; exit 1; }
ask 0 trace >"$work/sound-trace.txt" || { cat "$work/sound-trace.txt"; exit 1; }

missed=0 noticed=0 named=0
mapfile -t rows <scripts/reference-faults.tsv
((${#@})) && wanted=("$@") || mapfile -t wanted < <(seq ${#rows[@]})
for number in "${wanted[@]}"; do
    IFS=$'\t' read -r node _ code _ <<<"${rows[number - 1]}"
    if ask "$number" crossval >"$work/fault.txt" 2>&1; then
        echo "MISSED   $number $node: $code"
        missed=$((missed + 1))
        continue
    fi
    noticed=$((noticed + 1))
    found=$(blamed "$number" 512)
    # What only decoding shows is looked for in portions of one token.
    found=${found:-$(blamed "$number" 1)}
    if [[ $found == "$node" ]]; then
        named=$((named + 1))
        echo "named    $number $node: $code"
    else
        echo "noticed  $number $node, named ${found:-nothing}: $code"
    fi
done
echo "$noticed of ${#wanted[@]} noticed, $named named, $missed missed"
((missed == 0))
