#!/usr/bin/env bash
# The docker engine that the cluster runs on where this machine has none that can pull images: Debian's dockerd,
# unpacked into the cache and never installed, in a network namespace that has a loopback and nothing else. What
# runs on it can talk to itself, and to nobody.
#   engine.sh start | stop | status
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start() {
  [ "$(id -u)" = 0 ] || die "bringing a docker engine up takes root"
  if answers; then return; fi
  install_packages jq iproute2 iptables runc gcc libc6-dev debootstrap
  [ -x "$CACHE/engine/usr/sbin/dockerd" ] || step "unpacking the docker engine" "5 to 10 s, once" unpack
  stop_processes
  make_network
  step "starting the docker engine" "2 s" launch
}

answers() {
  nsenter --net="/run/netns/$NETNS" true 2>/dev/null && docker_answers
}
docker_answers() { timeout 10 "$CACHE/engine/usr/bin/docker" -H "$(own_docker_host)" version >/dev/null 2>&1; }

unpack() {
  local partial=$CACHE/engine.partial deb
  rm -rf "$partial"
  mkdir -p "$partial/deb"
  refresh_package_lists
  (cd "$partial/deb" && apt-get download -qq -o APT::Sandbox::User=root docker.io containerd tini)
  for deb in "$partial"/deb/*.deb; do dpkg -x "$deb" "$partial"; done
  rm -r "$partial/deb"
  install "$HACK/engine/runc-without-sys-resource" "$partial/usr/bin/"
  mv -T "$partial" "$CACHE/engine"
}

make_network() {
  if ! nsenter --net="/run/netns/$NETNS" true 2>/dev/null; then
    # After a reboot the name may still be there, as a file with no namespace mounted on it.
    ip netns delete "$NETNS" 2>/dev/null || rm -f "/run/netns/$NETNS"
    ip netns add "$NETNS"
  fi
  ip -n "$NETNS" link set lo up
}

# nsenter and not `ip netns exec`, which mounts a new /sys over the cgroups. All that is ours hangs under one
# cgroup, so that it can be found, and removed without touching anyone else's.
launch() {
  local usr=$CACHE/engine/usr fd
  mkdir -p "$RUN" "$CACHE/log" "$CACHE/engine-data"
  favour_the_cluster
  (
    # The locks of this script's callers must not live as long as the engine does.
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    PATH=$usr/bin:$usr/sbin:/usr/local/sbin:/usr/sbin:/sbin:$PATH exec setsid nsenter --net="/run/netns/$NETNS" \
      "$usr/sbin/dockerd" \
      --host "$(own_docker_host)" --data-root "$CACHE/engine-data" --exec-root "$RUN/exec" \
      --pidfile "$RUN/dockerd.pid" \
      --cgroup-parent "/${RUN##*/}" --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0 \
      --add-runtime "without-sys-resource=$usr/bin/runc-without-sys-resource" --default-runtime without-sys-resource \
      --userland-proxy-path "$usr/sbin/docker-proxy" --init-path "$usr/bin/docker-init" \
      </dev/null >"$CACHE/log/dockerd.log" 2>&1
  ) &
  retry 60 docker_answers || die "the docker engine did not start, see $CACHE/log/dockerd.log"
}

# Compilers are many and patient; an API server that waits for them is taken for dead. Under cgroup v2 the engine
# makes the group itself, and the default has to do.
favour_the_cluster() {
  local cpu=/sys/fs/cgroup/cpu
  if [ -w "$cpu/cpu.shares" ]; then mkdir -p "$cpu/${RUN##*/}" && echo 8192 > "$cpu/${RUN##*/}/cpu.shares"; fi
}

stop() {
  stop_processes
  unmount_below "$RUN/"
  unmount_below "$CACHE/engine-data/"
  ip netns delete "$NETNS" 2>/dev/null || rm -f "/run/netns/$NETNS"
  remove_cgroups
  rm -rf "$RUN"
}

# The engine, then whatever a killed engine left: its containerd, their shims, the containers themselves. A
# stale pid file may name a process that has nothing to do with us, so only what can be told to be ours is ended.
stop_processes() {
  local pid
  pid=$(cat "$RUN/dockerd.pid" 2>/dev/null || true)
  if [ -n "$pid" ] && is_ours "$pid"; then end "$pid"; fi
  for pid in $(ours); do end "$pid"; done
  for pid in $(in_our_cgroups); do kill -KILL "$pid" 2>/dev/null || true; done
  retry 10 no_process_in_our_cgroups || say "some processes of the cluster did not end"
  rm -f "$RUN/dockerd.pid" "$RUN/exec/containerd/containerd.pid"
}

is_ours() {
  local line
  line=$({ tr '\0' ' ' < "/proc/$1/cmdline"; } 2>/dev/null) || return 1
  case $line in *"dockerd "*"$RUN/"* | *"containerd"*" $RUN/"* | *"docker-proxy "*"$RUN/"*) ;; *) return 1 ;; esac
}

ours() {
  local p
  for p in /proc/[0-9]*; do if is_ours "${p##*/}"; then echo "${p##*/}"; fi; done
}

end() {
  kill -TERM "$1" 2>/dev/null || return 0
  retry 30 is_gone "$1" || kill -KILL "$1" 2>/dev/null || true
}
is_gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

our_cgroups() { find /sys/fs/cgroup -depth -type d -path "*/${RUN##*/}*" 2>/dev/null; }
in_our_cgroups() { our_cgroups | while read -r dir; do cat "$dir/cgroup.procs" 2>/dev/null || true; done | sort -un; }
no_process_in_our_cgroups() { [ -z "$(in_our_cgroups)" ]; }
remove_cgroups() { our_cgroups | while read -r dir; do rmdir "$dir" 2>/dev/null || true; done; }

case ${1:-} in
  start) locked "engine-$CLUSTER" start ;;
  stop) stop ;;
  status) if answers; then echo "up"; else echo "down"; fi ;;
  *) die "usage: hack/engine.sh start|stop|status" ;;
esac
