#!/usr/bin/env bash
# The images that kubeadm asks for, under the names it asks for, each of one program that we built. Prints them.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=hack/node/lib.sh
source "$HACK/node/lib.sh"
use_engine

kubernetes=$("$HACK/tools" kubernetes)

# from FROM IMAGE PROGRAM PATH [DOCKERFILE LINE...]: an image of PROGRAM at PATH.
from() {
  local context from=$1 image=$2 program=$3 path=$4
  shift 4
  context=$(mktemp -d)
  cp "$program" "$context/program"
  printf '%s\n' "FROM $from" "COPY program $path" "$@" > "$context/Dockerfile"
  docker build --quiet --tag "$image" "$context" >/dev/null
  rm -rf "$context"
  echo "$image"
}

pause() {
  local source
  source=$(GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | jq -r .Dir)/build/pause/linux/pause.c
  gcc -Os -static -s "-DVERSION=$KUBERNETES_VERSION" -o "$CACHE/node/pause" "$source"
  echo "$CACHE/node/pause"
}

# What kube-proxy calls, with all its libraries.
proxy_base() {
  local image=soak-operator/proxy-base:$node_key list
  list=$(chroot "$base_tree" /bin/bash -s -- /usr/sbin/{iptables,ip6tables}{,-save,-restore} /usr/sbin/{nft,conntrack} \
    < "$HACK/node/libraries.sh" | sort -u | sed 's|^/||')
  tar --directory "$base_tree" --no-recursion --create --files-from - <<< "$list" |
    docker import - "$image" >/dev/null
  echo "$image"
}

path='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
# kind's containerd names the pause image; kubeadm, all the others.
sandbox=$(sed -n 's/^ *sandbox_image = "\(.*\)"/\1/p' "$base_tree/etc/containerd/config.toml")
from scratch "$sandbox" "$(pause)" /pause 'USER 65535:65535' 'ENTRYPOINT ["/pause"]'
"$kubernetes/kubeadm" config images list --kubernetes-version "$KUBERNETES_VERSION" | while read -r image; do
  case $image in
    */etcd:*) from scratch "$image" "$("$HACK/tools" etcd)" /usr/local/bin/etcd "$path" ;;
    */coredns:*) from scratch "$image" "$("$HACK/tools" coredns)" /coredns 'ENTRYPOINT ["/coredns"]' ;;
    */kube-proxy:*) from "$(proxy_base)" "$image" "$kubernetes/kube-proxy" /usr/local/bin/kube-proxy "$path" ;;
    */kube-*:*) name=${image##*/} name=${name%:*} && from scratch "$image" "$kubernetes/$name" "/usr/local/bin/$name" "$path" ;;
    */pause:*) ;;
    *) die "kubeadm asks for an image that this script does not know: $image" ;;
  esac
done
