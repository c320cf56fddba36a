#!/usr/bin/env bash
# The file tree of a kind node without Kubernetes: Debian by debootstrap, and on it what kind's own base image
# puts there, taken from kind's Go module. Made once, under a name that only a whole tree gets.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=hack/node/lib.sh
source "$HACK/node/lib.sh"

packages=systemd,systemd-sysv,containerd,runc,containernetworking-plugins,conntrack,iptables,nftables,iproute2,ethtool
packages+=,util-linux,mount,kmod,libseccomp2,e2fsprogs,procps,pigz,bash,ca-certificates,curl,jq

make_tree() {
  local partial=$base_tree.partial debs=$CACHE/node/debs mirror
  unmount_below "$partial/"
  rm -rf "$partial"
  mkdir -p "$debs" "$CACHE/log"
  # The packages come from where this machine gets its own; where that is not known, from debootstrap's default.
  # shellcheck disable=SC2016  # for apt
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -1)
  debootstrap --variant=minbase --cache-dir="$debs" --include="$packages" "$NODE_DEBIAN" "$partial" ${mirror:+"$mirror"} \
    > "$CACHE/log/debootstrap.log" 2>&1 || die "debootstrap failed, see $CACHE/log/debootstrap.log"
  add_kinds_files "$partial"
  settle_services "$partial"
  rm -rf "$partial"/var/cache/apt/* "$partial"/var/lib/apt/lists/* "$partial"/usr/share/{doc,man,locale}/*
  mv -T "$partial" "$base_tree"
}

add_kinds_files() {
  local tree=$1 files binary
  files=$(GOFLAGS=-mod=mod go mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | jq -r .Dir)/images/base/files
  cp -R --no-preserve=mode,ownership "$files"/{etc,kind,usr} "$tree/"
  chmod 755 "$tree"/usr/local/bin/* "$tree"/kind/bin/*
  mkdir -p "$tree/etc/kubernetes/manifests" "$tree/opt/cni"
  # kind expects its own builds of these at its own places.
  for binary in containerd ctr containerd-shim-runc-v2; do ln -s "/usr/bin/$binary" "$tree/usr/local/bin/$binary"; done
  ln -s /usr/lib/cni "$tree/opt/cni/bin"
  # The score of a container's processes must not go below that of containerd, which CAP_SYS_RESOURCE would allow.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$tree/etc/containerd/config.toml"
  # shellcheck disable=SC2016  # for jq
  chroot "$tree" ctr oci spec |
    jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
      > "$tree/etc/containerd/cri-base.json"
}

# Of Debian's services a node in a container runs none by itself, only those named here.
settle_services() {
  local tree=$1
  rm -f "$tree"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* \
    "$tree"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
    "$tree"/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
  find "$tree/etc/systemd/system" -path '*.wants/*' -delete
  echo ReadKMsg=no >> "$tree/etc/systemd/journald.conf"
  chroot "$tree" systemctl --quiet enable kubelet containerd undo-mount-hacks
  # It would write to the kernel's one table for all containers.
  chroot "$tree" systemctl --quiet mask systemd-binfmt
}

import_tree() {
  tar --directory "$base_tree" --numeric-owner --one-file-system --create . | docker import - "$base_image" >/dev/null
}

use_engine
[ -d "$base_tree" ] || step "installing Debian $NODE_DEBIAN for the nodes" "1 min, once" make_tree
has_image "$base_image" || step "packing it into an image" "10 s, once" import_tree
