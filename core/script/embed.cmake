# lua/*.lua and policies/*.lua become bytes in the binary: included by CMakeLists.txt to add the rule, run by `cmake -P` to carry
# it out (-DROOT=the source tree, -DOUT=the file).
if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB ready ${ROOT}/lua/*.lua ${ROOT}/policies/*.lua)
  list(SORT ready)
  set(arrays "")
  set(table "")
  set(i 0)
  foreach(file ${ready})
    file(RELATIVE_PATH path ${ROOT} ${file})
    string(REGEX REPLACE "\\.lua$" "" name ${path})
    string(REPLACE "/" "." name ${name})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND arrays "static const unsigned char text_${i}[] = {${bytes}0};\n")
    string(APPEND table "\t{ \"${name}\", \"${path}\", text_${i}, sizeof text_${i} - 1 },\n")
    math(EXPR i "${i} + 1")
  endforeach()
  file(WRITE ${OUT} "#include \"script_ready.h\"\n\n${arrays}\nconst struct script_ready script_ready[] = {\n${table}\t{ 0 },\n};\n")
  return()
endif()

get_filename_component(EMBED_ROOT ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
file(GLOB ready CONFIGURE_DEPENDS ${EMBED_ROOT}/lua/*.lua ${EMBED_ROOT}/policies/*.lua)
add_custom_command(
  OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/script_embedded.c
  COMMAND ${CMAKE_COMMAND} -DROOT=${EMBED_ROOT} -DOUT=${CMAKE_CURRENT_BINARY_DIR}/script_embedded.c -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  DEPENDS ${ready} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  COMMENT "embedding lua/ and policies/")
target_sources(script PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/script_embedded.c)
