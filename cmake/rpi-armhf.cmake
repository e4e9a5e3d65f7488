# Cross build for a 32-bit Raspberry Pi OS on a Pi 2 or later (Debian: g++-arm-linux-gnueabihf;
# qemu-user runs the tests). The ARMv6 boards (Pi 1, Zero, Zero W) have no NEON and are left out.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)

set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)

# The compiler's own baseline is VFPv3 without NEON. VFPv4 brings the fused multiply-add. -Wno-psabi:
# a note about GCC 7's way of passing arguments, which no library that we link was built with.
set(CMAKE_C_FLAGS_INIT "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard")
set(CMAKE_CXX_FLAGS_INIT "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard -Wno-psabi")

# The board's OpenSSL, where cmake/fetch_openssl.sh has put it.
set(board_packages "${CMAKE_CURRENT_LIST_DIR}/../build/armhf-openssl")
set(CMAKE_FIND_ROOT_PATH /usr/arm-linux-gnueabihf "${board_packages}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# The Pi 2's core, so that an instruction it lacks is found here.
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-arm;-cpu;cortex-a7;-L;/usr/arm-linux-gnueabihf;-E;LD_LIBRARY_PATH=${board_packages}/usr/lib/arm-linux-gnueabihf"
    CACHE STRING "Runs the tests of this build")
