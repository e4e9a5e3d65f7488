# fuzzer_sources: one file for each program of targets. fuzzed_sources: what they test of the host program.
file(GLOB fuzzer_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*_fuzzer.cpp")
set(fuzzed_sources "")
foreach(name images/image images/jpeg_file images/orientation images/png_file images/simple_file run/model_card)
  list(APPEND fuzzed_sources "${PROJECT_SOURCE_DIR}/examples/host/${name}.cpp")
endforeach()
