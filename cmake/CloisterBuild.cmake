# Compiler settings, and the three functions with which every folder declares what it holds.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

include(GNUInstallDirs)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

option(CLOISTER_WERROR "Treat warnings as errors" ON)
option(CLOISTER_TESTS "Build the tests" ON)
set(CLOISTER_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize= (address,undefined | thread | fuzzer...)")
option(CLOISTER_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(CLOISTER_COVERAGE "Instrument for gcov" OFF)

# Everything that is compiled for a host process. The sandbox's pid 1 is freestanding and does not take these.
add_library(cloister_options INTERFACE)
target_compile_definitions(cloister_options INTERFACE _GNU_SOURCE CLOISTER_VERSION="${PROJECT_VERSION}")
target_include_directories(cloister_options INTERFACE ${CMAKE_SOURCE_DIR})

set(CLOISTER_WARNINGS -Wall -Wextra -Wshadow -Wformat=2 -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Wundef)
if(CLOISTER_WERROR)
    list(APPEND CLOISTER_WARNINGS -Werror)
endif()
target_compile_options(cloister_options INTERFACE ${CLOISTER_WARNINGS})

if(CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT CLOISTER_SANITIZE)
    target_compile_options(cloister_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
        -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
        -ftrivial-auto-var-init=zero)
    target_link_options(cloister_options INTERFACE -Wl,-z,relro,-z,now -pie)
endif()
if(CLOISTER_SANITIZE)
    target_compile_options(cloister_options INTERFACE -fsanitize=${CLOISTER_SANITIZE}
        -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(cloister_options INTERFACE -fsanitize=${CLOISTER_SANITIZE})
endif()
if(CLOISTER_FUZZ)
    # Coverage of the code under test is what guides the fuzzer; each target links libFuzzer's main() itself.
    target_compile_options(cloister_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CLOISTER_COVERAGE)
    target_compile_options(cloister_options INTERFACE --coverage -fprofile-update=atomic)
    target_link_options(cloister_options INTERFACE --coverage)
endif()

# cloister_library(base SOURCES ... LINKS ...): a folder's library.
function(cloister_library name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
    add_library(cloister_${name} STATIC ${A_SOURCES})
    target_link_libraries(cloister_${name} PUBLIC cloister_options ${A_LINKS})
endfunction()

# What has to start at once is linked statically with musl: before main() glibc asks the processor about its caches some
# eighty times, which takes 0.3 ms where a hypervisor answers (docs/adr/0014). Without musl, or with sanitizers, which
# need glibc, it is the same sources as any other program.
string(REPLACE "-gnu" "-musl" CLOISTER_MUSL_NAME "${CMAKE_LIBRARY_ARCHITECTURE}")
find_file(CLOISTER_MUSL_SPECS musl-gcc.specs PATHS /usr/lib/${CLOISTER_MUSL_NAME} NO_DEFAULT_PATH)
add_library(cloister_quick_options INTERFACE)
if(CLOISTER_MUSL_SPECS AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT CLOISTER_SANITIZE AND NOT CLOISTER_COVERAGE)
    set(CLOISTER_QUICK_BY_MUSL ON)
    target_compile_definitions(cloister_quick_options INTERFACE _GNU_SOURCE CLOISTER_VERSION="${PROJECT_VERSION}")
    target_include_directories(cloister_quick_options INTERFACE ${CMAKE_SOURCE_DIR})
    # The kernel's headers are where glibc's are. musl's own are no work of ours: -Wconversion finds their macros.
    target_compile_options(cloister_quick_options INTERFACE ${CLOISTER_WARNINGS} -Wno-conversion -Wno-sign-conversion
        -specs=${CLOISTER_MUSL_SPECS} "SHELL:-idirafter /usr/include"
        "SHELL:-idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
        -O2 -fstack-protector-strong -fno-pie)
    target_link_options(cloister_quick_options INTERFACE -specs=${CLOISTER_MUSL_SPECS} -static -no-pie)
else()
    set(CLOISTER_QUICK_BY_MUSL OFF)
    target_link_libraries(cloister_quick_options INTERFACE cloister_options)
endif()

# cloister_quick_library(base SOURCES ... LINKS ...), cloister_quick_program(cloister SOURCES ... LINKS ...)
function(cloister_quick_library name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
    add_library(cloister_quick_${name} STATIC ${A_SOURCES})
    target_link_libraries(cloister_quick_${name} PUBLIC cloister_quick_options ${A_LINKS})
    set_target_properties(cloister_quick_${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
endfunction()
function(cloister_quick_program name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE cloister_quick_options ${A_LINKS})
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    add_dependencies(programs ${name})
    install(TARGETS ${name} RUNTIME)
endfunction()

# cloister_program(cloister-spawner SOURCES ... LINKS ...): a program in build/<preset>/bin, installed into bin (they find
# each other there). The target `programs` builds all of them and no test.
add_custom_target(programs)
function(cloister_program name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE cloister_options ${A_LINKS})
    add_dependencies(programs ${name})
    install(TARGETS ${name} RUNTIME)
endfunction()

# cloister_unit_test(base err LINKS ...): tests/unit/<folder>/test_<module>.c, run by ctest as unit.<folder>.<module>.
function(cloister_unit_test folder module)
    if(NOT CLOISTER_TESTS)
        return()
    endif()
    cmake_parse_arguments(A "" "" "LINKS;SOURCES" ${ARGN})
    set(target test_${folder}_${module})
    add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/test_${module}.c ${A_SOURCES})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
    target_link_libraries(${target} PRIVATE cloister_options ${A_LINKS} PkgConfig::CMOCKA)
    add_test(NAME unit.${folder}.${module} COMMAND ${target})
    set_tests_properties(unit.${folder}.${module} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# cloister_fuzz_target(cgroups stat LINKS ...): tests/fuzz/fuzz_<folder>_<name>.c. With clang and CLOISTER_FUZZ it is a
# libFuzzer program; in every other build a small driver replays tests/fuzz/corpus/<folder>_<name>/ under ctest.
function(cloister_fuzz_target folder name)
    if(NOT CLOISTER_TESTS)
        return()
    endif()
    cmake_parse_arguments(A "" "" "LINKS;SOURCES" ${ARGN})
    set(target fuzz_${folder}_${name})
    set(source ${CMAKE_SOURCE_DIR}/tests/fuzz/${target}.c)
    if(CLOISTER_FUZZ)
        add_executable(${target} ${source} ${A_SOURCES})
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c ${A_SOURCES})
        add_test(NAME fuzz.${folder}.${name}
            COMMAND ${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${folder}_${name})
        set_tests_properties(fuzz.${folder}.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
    endif()
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${target} PRIVATE cloister_options ${A_LINKS})
endfunction()
