# Unit tests of the store, people and files. Those that need a PostgreSQL get one of their own.
function(gw_database_test module)
    if(NOT CLOISTER_TESTS)
        return()
    endif()
    cmake_parse_arguments(A "" "" "LINKS;SOURCES" ${ARGN})
    set(target test_frontgw_${module})
    add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/unit/frontgw/test_${module}.c
        ${CMAKE_SOURCE_DIR}/tests/unit/frontgw/store_fixture.c ${A_SOURCES})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
    target_link_libraries(${target} PRIVATE cloister_options ${A_LINKS} PkgConfig::CMOCKA)
    add_test(NAME store.frontgw.${module}
        COMMAND ${CMAKE_SOURCE_DIR}/tests/support/with_postgres.sh $<TARGET_FILE:${target}>)
    set_tests_properties(store.frontgw.${module} PROPERTIES LABELS store TIMEOUT 180 SKIP_RETURN_CODE 77)
endfunction()

gw_database_test(db LINKS cloister_gw_store)
gw_database_test(files SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/world.c LINKS cloister_gw_files)

cloister_unit_test(frontgw permit LINKS cloister_gw_people)
cloister_unit_test(frontgw names LINKS cloister_gw_files)
cloister_unit_test(frontgw thin LINKS cloister_gw_files)
cloister_unit_test(frontgw csv LINKS cloister_gw_people)
gw_database_test(plans LINKS cloister_gw_store)
gw_database_test(pool LINKS cloister_gw_store)
gw_database_test(people SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/world.c LINKS cloister_gw_files)
gw_database_test(backup SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/world.c LINKS cloister_gw_files)
