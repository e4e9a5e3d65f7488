#!/usr/bin/env bash
# Where the bytes of a program go: per ELF section and per component, in KB (1000 bytes), as tables.
# usage: bench/size_report.sh NAME=ELF...     for example armhf=build/armhf/iotsl-device
# ELF must have its symbols; stripped programs are looked for as ELF.symbols. The component is the
# namespace of a symbol; names that stand in iotsl itself belong to the folder whose header defines them.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }

# `LAYER NAME` for the functions and classes that a folder's headers define in namespace iotsl.
names_of_layers() {
  local layer
  for layer in core autograd ops nn optim data train models measure; do
    cat include/iotsl/"$layer"/*.hpp |
      grep -oE '^(class|struct|enum class) +[A-Za-z_0-9]+|^[A-Za-z][^=;{(]*[ &*][A-Za-z_0-9]+\(' |
      sed -E 's/\($//; s/.*[ &*]//' | sort -u | sed "s/^/$layer /"
  done
}

strip_of() {
  case $(LC_ALL=C readelf -h "$1" | sed -n 's/^ *Machine: *//p') in
    AArch64) echo aarch64-linux-gnu-strip ;;
    ARM) echo arm-linux-gnueabihf-strip ;;
    *) echo strip ;;
  esac
}

stripped_bytes() {
  local copy
  copy=$(mktemp) && "$(strip_of "$1")" -o "$copy" "$1" && stat -c %s "$copy"
  rm -f "$copy"
}

with_symbols() {
  local elf=$1
  [ -e "$elf.symbols" ] && elf=$elf.symbols
  [ -r "$elf" ] || { echo "size_report.sh: cannot read $1; expected NAME=ELF" >&2; return 1; }
  [ -n "$(nm "$elf" 2>/dev/null | head -n 1)" ] || { echo "size_report.sh: $elf has no symbols" >&2; return 1; }
  echo "$elf"
}

sections_row() {
  size -A -d "$2" | awk -v name="$1" -v stripped="$(stripped_bytes "$2")" '
    $1 == ".text" || $1 == ".rodata" { part[$1] += $2 }
    /^\.(eh_frame|gcc_except_table|ARM\.ex)/ { part["unwind"] += $2 }
    /^\.(dyn|gnu\.|rel|plt|got)/ { part["link"] += $2 }
    /^\.(data|tdata|init_array|fini_array)/ { part["data"] += $2 }
    END {
      rest = stripped - part[".text"] - part[".rodata"] - part["unwind"] - part["link"] - part["data"]
      printf "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |\n", name, stripped / 1000, part[".text"] / 1000,
        part[".rodata"] / 1000, part["unwind"] / 1000, part["data"] / 1000, part["link"] / 1000, rest / 1000
    }'
}

components_row() {
  nm -S --defined-only "$2" | awk -v name="$1" '
    function hex(text,  i, value) {
      value = 0
      for (i = 1; i <= length(text); ++i) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
      return value
    }
    # Takes one length-prefixed name off the front of `rest`.
    function next_name(  digits, found) {
      if (!match(rest, /^[0-9]+/)) return ""
      digits = substr(rest, 1, RLENGTH) + 0
      found = substr(rest, RLENGTH + 1, digits)
      rest = substr(rest, RLENGTH + 1 + digits)
      return found
    }
    function component(symbol,  space) {
      rest = symbol
      # Of a vtable, a guard, a static local or a clone what matters is whose it is.
      if (!sub(/^_Z(GV|GR|TV|TI|TS|TT|Th[n0-9]*_|Tv[n0-9_]*_)?(Z)?(L)?/, "", rest)) return symbol ~ /gomp|GOMP|omp_/ ? "libgomp" : "other"
      sub(/^N[KVr]*[RO]?/, "", rest)
      if (rest ~ /^(St|Sa|Ss|Sb|Si|So|Sd|9__gnu_cxx|10__cxxabiv1)/) return "std"
      space = next_name()
      if (space == "asio") return "asio"
      if (space != "iotsl") return "other"
      if (rest ~ /^[0-9]+v[0-9]+_/) next_name()
      space = next_name()
      if (space == "detail") space = next_name()
      if (space ~ /^(kernels|simd)$/) return "kernels"
      if (space ~ /^(gan|moments|generators|privacy)$/) return "generators"
      if (space ~ /^(net|split|data|impute|train)$/) return space
      if (space == "device") return "other"
      # Cutting work into tasks is inlined with the task: the work is what takes the bytes.
      if (space ~ /^parallel_/ && rest ~ /7kernels/) return "kernels"
      if (!(space in layer)) return "core"
      return layer[space] == "models" ? "nn" : layer[space]
    }
    FILENAME != "-" { if (!($2 in layer)) layer[$2] = $1; next }
    NF == 4 && $3 !~ /[bB]/ && !seen[$1 $2]++ { total[component($4)] += hex($2) }
    END {
      printf "| %s", name
      count = split("kernels core autograd ops nn optim data train generators impute net split asio std libgomp other", column)
      for (i = 1; i <= count; ++i) printf " | %.0f", total[column[i]] / 1000
      print " |"
    }' <(names_of_layers) -
}

elves=()
for pair in "$@"; do
  elf=$(with_symbols "${pair#*=}") || exit 1
  elves+=("${pair%%=*}=$elf")
done
echo "| KB | stripped | code | constants | unwinding | data | linking | rest |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for pair in "${elves[@]}"; do sections_row "${pair%%=*}" "${pair#*=}"; done
echo
echo "| KB | kernels | core | autograd | ops | nn | optim | data | train | generators | impute | net | split | asio | std | libgomp | other |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for pair in "${elves[@]}"; do components_row "${pair%%=*}" "${pair#*=}"; done
