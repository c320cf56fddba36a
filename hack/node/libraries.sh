#!/bin/bash
# Run inside the node's file tree: prints every file, link and folder that the programs given need to run, their
# libraries included, and those of iptables' plugins, which are loaded by name and which ldd on the program alone
# does not show. Without them kube-proxy runs, nodes and pods are Ready, and no Service answers.
set -euo pipefail

# A path with its folders resolved, then whatever it links to, link by link.
follow() {
  local path=$1
  while true; do
    path=$(realpath "$(dirname "$path")")/$(basename "$path")
    echo "$path"
    [ -L "$path" ] || return 0
    case $(readlink "$path") in
      /*) path=$(readlink "$path") ;;
      *) path=$(dirname "$path")/$(readlink "$path") ;;
    esac
  done
}

plugins=(/usr/lib/*/xtables/*.so)
for file in "$@" "${plugins[@]}"; do follow "$file"; done
ldd "$@" "${plugins[@]}" 2>/dev/null | grep -oE '/[^ :]+\.so[^ :]*' | sort -u | while read -r library; do follow "$library"; done
for folder in /bin /sbin /lib /lib64; do [ ! -L "$folder" ] || echo "$folder"; done
printf '%s\n' /etc/protocols /etc/services /etc/ethertypes
