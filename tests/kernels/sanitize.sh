#!/usr/bin/env bash
# The native engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of the checkout.
#
#   tests/kernels/sanitize.sh [pytest arguments]
#
# Needs gcc with its sanitizer libraries, and on the path the Python of an environment with requirements.txt and
# requirements-dev.txt. A report of either sanitizer ends it with a status other than 0.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if [ -e "$file" ]; then cp --parents "$file" "$copy"; fi
done
cd "$copy"
# Checks after every load of unrolled loops: more optimisation takes minutes to compile, and finds no more.
sed -i 's/"-O3"/"-O1"/' pyproject.toml

sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
CC=gcc CFLAGS="${sanitizers[*]}" LDFLAGS="${sanitizers[*]}" python -m pip install -q --no-deps --target built .
cp built/model/engine/_native.*.so model/engine/ # fails where the optional extension was not built

# Python itself leaks at exit, and its own allocator would hide the ends of small blocks.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc
export MER_TEST_EXAMPLES="${MER_TEST_EXAMPLES:-20}"
# Not grep -q, which would leave at the first line and have nm fail on a closed pipe.
nm -D model/engine/_native.*.so | grep __asan_report > /dev/null
nm -D model/engine/_native.*.so | grep __ubsan_handle > /dev/null
python -m pytest -q -p no:cacheprovider --capture=sys tests/test_native_{verbs,edges,rows,draws}.py "$@"
