# Installs the libraries below the build folder, then configures, builds and runs a program
# with a plugin against them.
# Usage: cmake -D BUILD=<build folder> -D CXX=<compiler> [-D SANITIZE=<list>] -P run.cmake
cmake_minimum_required(VERSION 3.25)

set(prefix ${BUILD}/package/prefix)
set(outside ${BUILD}/package/outside)
file(REMOVE_RECURSE ${BUILD}/package)
set(flags "")
if(SANITIZE)
  set(flags -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()

execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --component libraries --prefix ${prefix}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${outside}
  -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CXX} ${flags}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${outside} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${outside}/outside OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
if(NOT output STREQUAL "the policy is obeyed, the sessions are counted, the report is made\n")
  message(FATAL_ERROR "the program outside said: ${output}")
endif()
