#!/usr/bin/env bash
# Formatting and lints of everything that is code: Rust, shell, Go.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

shell_scripts() {
  git ls-files | while read -r file; do
    if [ -f "$file" ] && head -c 40 "$file" | head -1 | grep -E '^#!.*\b(ba)?sh' >/dev/null; then echo "$file"; fi
  done
}

cargo fmt --all --check
cargo clippy --workspace --all-targets --all-features --locked -- --deny warnings
command -v shellcheck >/dev/null || install_packages shellcheck
# shellcheck disable=SC2046  # a list of names
shellcheck -x $(shell_scripts)
unformatted=$(gofmt -l hack/netcheck)
[ -z "$unformatted" ] || die "run gofmt -w $unformatted"
