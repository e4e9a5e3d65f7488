# Reads `ctest --verbose`, prints passed, failed and skipped: a doctest program counts by its test
# cases, any other test counts as one.

/^[0-9]+: \[doctest\] test cases:/ {
  test = $1 + 0
  split($0, part, "|")
  gsub(/[^0-9]/, "", part[2]); gsub(/[^0-9]/, "", part[3])
  cases[test] = 1
  passed_cases[test] = part[2] + 0
  failed_cases[test] = part[3] + 0
}
/^[0-9]+: \[skipped\]/ { skipped_cases[$1 + 0]++ }

# " 3/12 Test  #7: ops ......   Passed    0.51 sec"
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+:/ {
  match($0, /#[0-9]+:/)
  test = substr($0, RSTART + 1, RLENGTH - 2) + 0
  ok = /   Passed /
  if (/\*\*\*Skipped|\*\*\*Not Run \(Disabled\)/) {
    skipped++
  } else if (cases[test]) {
    passed += passed_cases[test] - skipped_cases[test]
    skipped += skipped_cases[test]
    failed += failed_cases[test]
    # A crash or a sanitizer's report after the summary is a failure of its own.
    if (!ok && failed_cases[test] == 0) failed++
  } else if (ok) {
    passed++
  } else {
    failed++
  }
}
END { print passed + 0, failed + 0, skipped + 0 }
