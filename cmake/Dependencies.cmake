# Every outside dependency, by the name of its Debian 12 package (tools/install_deps.sh installs this list).
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)        # nlohmann-json3-dev
find_package(fmt REQUIRED)                  # libfmt-dev
find_package(CLI11 REQUIRED)                # libcli11-dev
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)   # libutf8proc-dev
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)       # libpcre2-dev
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)       # libxxhash-dev
find_package(simdjson REQUIRED)             # libsimdjson-dev
find_package(OpenSSL REQUIRED)              # libssl-dev
find_package(CURL REQUIRED)                 # libcurl4-openssl-dev
find_package(Boost 1.81 REQUIRED)           # libboost1.81-dev
if(MILLRACE_TESTS)
  find_package(GTest REQUIRED)              # libgtest-dev libgmock-dev
endif()
