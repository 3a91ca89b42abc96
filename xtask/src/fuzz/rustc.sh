#!/bin/sh
# In place of rustc for this workspace's packages: adds what counts which edges of the code an input reaches, for libFuzzer.
# These are options of the compiler that every release has; what the packages depend on stays as it is.

for argument in "$@"; do
    case "$argument" in
    # Build scripts and macros run at build time, without libFuzzer.
    build_script_* | proc-macro) exec "$@" ;;
    esac
done

exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Copt-level=1 \
    -Cdebug-assertions=on \
    -Coverflow-checks=on
