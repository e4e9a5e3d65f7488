#!/usr/bin/env python3
"""Lines of the readers that fuzzing reaches: usage: coverage.py PROFILE PROGRAM..."""
import json
import re
import subprocess
import sys

# What reads bytes of a peer or of a file.
FILES = """
include/iotsl/core/files/container.hpp include/iotsl/core/json/fields.hpp include/iotsl/core/json/parse.hpp
include/iotsl/data/celeba.hpp include/iotsl/data/count_table.hpp include/iotsl/data/idx.hpp
include/iotsl/data/manifest.hpp include/iotsl/data/packed.hpp include/iotsl/gan/training_state.hpp
include/iotsl/generators/card.hpp include/iotsl/generators/generator_file.hpp
include/iotsl/generators/settings.hpp include/iotsl/impute/plan.hpp include/iotsl/models/net_file.hpp
include/iotsl/moments/release.hpp include/iotsl/net/address.hpp include/iotsl/net/messages/bulk_messages.hpp
include/iotsl/net/messages/codec.hpp include/iotsl/net/messages/frame.hpp include/iotsl/net/identity/allow_list.hpp
include/iotsl/net/identity/token.hpp include/iotsl/net/link/link_speed.hpp include/iotsl/net/messages/joining_messages.hpp
include/iotsl/net/messages/model_messages.hpp include/iotsl/net/messages/run_description.hpp
include/iotsl/net/messages/session_messages.hpp include/iotsl/net/messages/turn_messages.hpp
include/iotsl/net/tls/client_hello.hpp include/iotsl/net/tls/peer_key.hpp include/iotsl/net/tls/session.hpp
include/iotsl/net/messages/transfer.hpp include/iotsl/net/messages/wire_format.hpp include/iotsl/nn/foreign_state.hpp
include/iotsl/nn/layer_fields.hpp include/iotsl/nn/layer_list.hpp include/iotsl/nn/safetensors.hpp
include/iotsl/nn/state.hpp include/iotsl/nn/state_check.hpp include/iotsl/privacy/ledger.hpp
include/iotsl/split/audit/audit_report.hpp include/iotsl/split/halves/front_description.hpp
include/iotsl/split/records/checkpoint.hpp include/iotsl/split/records/preparation_record.hpp
examples/bench/report/report.hpp examples/host/images/image.cpp examples/host/images/jpeg_file.cpp
examples/host/images/orientation.cpp examples/host/images/png_file.cpp
examples/host/images/simple_file.cpp examples/host/run/model_card.cpp
""".split()

# Functions of these files that read: by the beginning of their name, or by their class. The rest writes,
# plans, or looks for files.
READS = re.compile(
    r"(?:^|::)(?:parse|read|load|decode|take|check|inspect|append_utf8|build_layers|build_front|make_layer|"
    r"adapt|convert|half_to|bfloat_to|wrapper_prefix|exif|apply_orientation|tensor_bytes|tensor_of|next_number|"
    r"to_rgb|bad_|fields|json_fields|on_begin|on_chunk|on_end|copy_values|find_section)\w*(?:<.*>)?\(")
CLASSES = re.compile(
    r"\b(?:FrameReader|ByteReader|TransferAssembler|JsonParser|JsonReader|LayerFields<float>|CelebaText|IdxStream|"
    r"KeepCursor|TlsSession|PngReader|JpegReader|TiffNumbers|SavedTraining)(?:<.*>)?::")
# Readers that look for files by their names, which no target gives.
LEFT_OUT = re.compile(r"\b(?:load_(?:manifest|plan|net|safetensors|generator|foreign_safetensors|container|pack_card|"
                      r"report)|read_(?:preparation|run_numbers|newest_checkpoint|image|begin)|"
                      r"check_(?:device_samples|manifest|free_space|barriers)\b(?!_)|parse_image_size|"
                      r"TlsSession::(?:exporter|finish))\b|\bByteWriter\b|\bJsonWriter\b")


def demangled(names):
    out = subprocess.run(["llvm-cxxfilt-14"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, out.stdout.split("\n")))


def main():
    profile, programs = sys.argv[1], sys.argv[2:]
    command = ["llvm-cov-14", "export", "-instr-profile", profile, programs[0]]
    for program in programs[1:]:
        command += ["-object", program]
    data = json.loads(subprocess.run(command + FILES, capture_output=True, text=True, check=True).stdout)["data"][0]

    # Counts of lines over all instances of a template: a line is reached where one of them reaches it.
    readers = {}
    names = demangled(sorted({f["name"] for f in data["functions"]}))
    for function in data["functions"]:
        path = next((p for p in FILES if function["filenames"][0].endswith("/" + p)), None)
        name = names[function["name"]].split(":", 1)[-1] if ".cpp:" in names[function["name"]] else names[function["name"]]
        if path is None:
            continue
        if LEFT_OUT.search(name) or not (READS.search(name) or CLASSES.search(name)):
            continue
        lines = readers.setdefault(path, {})
        # The innermost region of a line counts: regions come from the outside in.
        own = {}
        for first, _, last, _, count, file, _, kind in function["regions"]:
            if file == 0 and kind == 0:
                for line in range(first, last + 1):
                    own[line] = max(count, own[line]) if first == line and line in own else count
        for line, count in own.items():
            lines[line] = max(count, lines.get(line, 0))

    total = reached = 0
    print(f"{'reader':52} {'lines':>6} {'reached':>8}")
    for path in FILES:
        lines = readers.get(path, {})
        hit = sum(1 for count in lines.values() if count > 0)
        total, reached = total + len(lines), reached + hit
        missing = sorted(line for line, count in lines.items() if count == 0)
        rest = "  not: " + " ".join(map(str, missing[:12])) + (" ..." if len(missing) > 12 else "") if missing else ""
        if lines:
            print(f"{path:52} {len(lines):6} {100 * hit / len(lines):7.1f}%{rest}")
        else:
            print(f"{path:52}      -  no code of its own")
    print(f"{'all readers':52} {total:6} {100 * reached / max(total, 1):7.1f}%")


if __name__ == "__main__":
    main()
