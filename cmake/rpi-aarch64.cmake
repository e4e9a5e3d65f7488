# Cross build for a 64-bit Raspberry Pi (Debian: g++-aarch64-linux-gnu; qemu-user runs the tests).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# The board's OpenSSL, where cmake/fetch_openssl.sh has put it.
set(board_packages "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-openssl")
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu "${board_packages}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu;-E;LD_LIBRARY_PATH=${board_packages}/usr/lib/aarch64-linux-gnu"
    CACHE STRING "Runs the tests of this build")
