# The libraries iotsl::iotsl, iotsl::net and iotsl::linalg, all header-only (the plain name `iotsl` is
# the host program). No warning flag here: a user's flags are the user's.

include(GNUInstallDirs)

add_library(iotsl_engine INTERFACE)
add_library(iotsl::iotsl ALIAS iotsl_engine)
set_target_properties(iotsl_engine PROPERTIES EXPORT_NAME iotsl)
target_include_directories(iotsl_engine INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(iotsl_engine INTERFACE cxx_std_20)

# A static program needs an archive, and the compiler knows where its own libgomp.a is.
if(IOTSL_STATIC_DEVICE)
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=libgomp.a
                  OUTPUT_VARIABLE libgomp_archive OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(OpenMP_gomp_LIBRARY "${libgomp_archive}" CACHE FILEPATH "libgomp of a static program")
endif()

if(IOTSL_WITH_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  # By name if it exists: who uses the installed package may have no OpenMP.
  target_link_libraries(iotsl_engine INTERFACE $<TARGET_NAME_IF_EXISTS:OpenMP::OpenMP_CXX>)
  if(NOT OpenMP_CXX_FOUND)
    message(STATUS "iotsl: no OpenMP, kernels run on one thread")
  endif()
endif()

if(IOTSL_WITH_ZLIB)
  find_package(ZLIB REQUIRED)
  target_link_libraries(iotsl_engine INTERFACE ZLIB::ZLIB)
  target_compile_definitions(iotsl_engine INTERFACE IOTSL_WITH_ZLIB=1)
endif()

if(IOTSL_FAILPOINTS)
  target_compile_definitions(iotsl_engine INTERFACE IOTSL_FAILPOINTS=1)
endif()

# Part of the names in every header, so that units of the engine and of the wire fit together; only
# iotsl::net links OpenSSL.
if(IOTSL_WITH_TLS)
  find_package(OpenSSL 3 REQUIRED)
  target_compile_definitions(iotsl_engine INTERFACE IOTSL_WITH_TLS=1)
else()
  message(STATUS "iotsl: no TLS (OpenSSL 3, package libssl-dev): devices and server speak plain TCP")
endif()

# Eigen's views of tensors and its exact SVD. Headers only, in a folder of their own: a cross build takes
# the host's.
find_package(Eigen3 3.3 QUIET NO_MODULE NO_CMAKE_FIND_ROOT_PATH)
if(TARGET Eigen3::Eigen)
  add_library(iotsl_linalg INTERFACE)
  add_library(iotsl::linalg ALIAS iotsl_linalg)
  # By name if it exists, as above.
  target_link_libraries(iotsl_linalg INTERFACE iotsl_engine $<TARGET_NAME_IF_EXISTS:Eigen3::Eigen>)
  set_target_properties(iotsl_linalg PROPERTIES EXPORT_NAME linalg)
else()
  message(STATUS "iotsl: no Eigen (package libeigen3-dev), so no iotsl::linalg")
endif()

# Optional: the kernels and the operations on float compiled once, for programs of many translation
# units. Each of them saves some ten seconds; the results are the same to the bit.
add_library(iotsl_compiled STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_LIST_DIR}/iotsl_compiled.cpp")
add_library(iotsl::compiled ALIAS iotsl_compiled)
target_link_libraries(iotsl_compiled PUBLIC iotsl_engine)
target_compile_definitions(iotsl_compiled PRIVATE IOTSL_EMIT_ENGINE=1 INTERFACE IOTSL_LINK_ENGINE=1)

# Asio without Boost is headers only, so a cross build may use the host's copy. Adding /usr/include
# to a cross compiler would mix two C libraries, hence a folder with links to the packages we want.
if(CMAKE_CROSSCOMPILING)
  set(IOTSL_HOST_HEADERS "${PROJECT_BINARY_DIR}/host-headers")
  file(MAKE_DIRECTORY "${IOTSL_HOST_HEADERS}")
  foreach(entry asio asio.hpp doctest)
    if(EXISTS "/usr/include/${entry}")
      file(CREATE_LINK "/usr/include/${entry}" "${IOTSL_HOST_HEADERS}/${entry}" SYMBOLIC)
    endif()
  endforeach()
endif()
find_path(IOTSL_ASIO_INCLUDE_DIR asio.hpp PATHS ${IOTSL_HOST_HEADERS} NO_CMAKE_FIND_ROOT_PATH)

if(IOTSL_ASIO_INCLUDE_DIR)
  find_package(Threads REQUIRED)
  add_library(iotsl_net INTERFACE)
  add_library(iotsl::net ALIAS iotsl_net)
  target_link_libraries(iotsl_net INTERFACE iotsl_engine Threads::Threads)
  if(IOTSL_WITH_TLS)
    # By files: a project that takes this one in does not see targets that were found here. Who uses the
    # installed package finds it by itself, or gets no iotsl::net.
    target_link_libraries(iotsl_net INTERFACE "$<BUILD_INTERFACE:${OPENSSL_LIBRARIES}>"
      $<INSTALL_INTERFACE:$<TARGET_NAME_IF_EXISTS:OpenSSL::SSL>>)
    target_include_directories(iotsl_net SYSTEM INTERFACE $<BUILD_INTERFACE:${OPENSSL_INCLUDE_DIR}>)
  endif()
  set_target_properties(iotsl_net PROPERTIES EXPORT_NAME net)
  target_include_directories(iotsl_net SYSTEM INTERFACE $<BUILD_INTERFACE:${IOTSL_ASIO_INCLUDE_DIR}>)
  target_compile_definitions(iotsl_net INTERFACE ASIO_STANDALONE)
else()
  message(STATUS "iotsl: no Asio (package libasio-dev), so no iotsl::net and no programs")
endif()
