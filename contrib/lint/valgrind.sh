#!/bin/sh
# SPDX-License-Identifier: ISC
# Stands in flyballd's place for `make valgrind`: the daemon under memcheck. An
# error ends it with status 99, which the tests' harness complains of. Leaks
# count where nothing points at the memory any more.
exec valgrind --quiet --error-exitcode=99 --leak-check=full \
	--errors-for-leak-kinds=definite --show-leak-kinds=definite \
	--suppressions="$(dirname "$0")/valgrind.supp" --num-callers=30 \
	"$(dirname "$0")/../flyballd" "$@"
