# cmake -DUI=folder -DOUT=file.cc -P EmbedPage.cmake: the page's parts as one C++ file. The server sends them as one document.
function(read_part variable)
  set(text "")
  foreach(name ${ARGN})
    file(READ ${UI}/${name} part)
    string(APPEND text "${part}")
  endforeach()
  set(${variable} "${text}" PARENT_SCOPE)
endfunction()

read_part(page index.html)
read_part(style style.css)
read_part(script dom.js tokens.js markdown.js api.js settings.js chat.js panel.js main.js)
file(WRITE ${OUT} "// Made from src/server/ui by cmake/EmbedPage.cmake.
#include \"server/web_page.h\"

namespace millrace {

const std::string_view kPageSource = R\"page(${page})page\";
const std::string_view kPageStyle = R\"page(${style})page\";
const std::string_view kPageScript = R\"page(${script})page\";

}  // namespace millrace
")
