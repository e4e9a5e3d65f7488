# `cmake --install`: headers, the CMake package and iotsl.pc. Nothing in them names the source folder,
# and the prefix may be moved afterwards.

include(CMakePackageConfigHelpers)

# Headers for every architecture: not in lib/<architecture>.
set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/iotsl")
set(pkg_config_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/iotsl" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

set(targets iotsl_engine)
if(TARGET iotsl_net)
  list(APPEND targets iotsl_net)
endif()
if(TARGET iotsl_linalg)
  list(APPEND targets iotsl_linalg)
endif()
install(TARGETS ${targets} EXPORT iotsl)
install(EXPORT iotsl FILE iotslTargets.cmake NAMESPACE iotsl:: DESTINATION "${package_dir}")

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/iotslConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/iotslConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/iotslConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/iotslConfig.cmake" "${PROJECT_BINARY_DIR}/iotslConfigVersion.cmake"
        DESTINATION "${package_dir}")

# pkg-config knows no optional packages: its flags are those of this build.
file(RELATIVE_PATH prefix_from_pc "/${pkg_config_dir}" "/")
string(REGEX REPLACE "/$" "" prefix_from_pc "${prefix_from_pc}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(pc_requires "")
set(pc_cflags "")
set(pc_libs "")
if(IOTSL_WITH_ZLIB)
  set(pc_requires zlib)
  string(APPEND pc_cflags " -DIOTSL_WITH_ZLIB=1")
endif()
if(IOTSL_WITH_TLS)
  list(APPEND pc_requires openssl)
  string(APPEND pc_cflags " -DIOTSL_WITH_TLS=1")
endif()
list(JOIN pc_requires " " pc_requires)
if(TARGET OpenMP::OpenMP_CXX)
  string(APPEND pc_cflags " ${OpenMP_CXX_FLAGS}")
  string(APPEND pc_libs " ${OpenMP_CXX_FLAGS}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/iotsl.pc.in" "${PROJECT_BINARY_DIR}/iotsl.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/iotsl.pc" DESTINATION "${pkg_config_dir}")
