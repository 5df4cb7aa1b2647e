# cmake -DIN=file -DOUT=file.c -P EmbedBytes.cmake: the bytes of IN as the array of proto/descriptor_set.h.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){16})" "\\1\n    " bytes "${bytes}")
file(WRITE ${OUT} "#include \"proto/descriptor_set.h\"\n\nconst unsigned char cloister_descriptor_set[] = {\n    ${bytes}\n};\nconst size_t cloister_descriptor_set_len = sizeof(cloister_descriptor_set);\n")
