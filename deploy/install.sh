#!/bin/sh
# Installs, upgrades or removes Courtbridge as a service of this machine: what docs/operating.md shows by hand.
#
#   sudo deploy/install.sh              installs it, or upgrades what is there; a configuration is never overwritten
#   sudo deploy/install.sh --remove     stops it and removes all of it, instances, timer, configuration and state
#                                       (--yes: without asking)
set -eu

program=/opt/courtbridge
configuration=/etc/courtbridge
units=/etc/systemd/system
link=/usr/local/bin/courtbridge
source=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# Whatever of ours is enabled or runs, instances like courtbridge@mitte included.
ours() { systemctl list-units --all --plain --no-legend 'courtbridge*' | awk '{print $1}'; }

install_it() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update && apt-get install --yes python3-venv; }
  "$program/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$program" # after an upgrade of Debian it is broken
  "$program/bin/pip" install --quiet --upgrade --constraint "$source/requirements.lock" "$source"
  ln -sf "$program/bin/courtbridge" "$link"
  install -d -m 755 "$configuration"
  [ -e "$configuration/config.toml" ] || install -m 644 "$source/config.example.toml" "$configuration/config.toml"
  install -m 644 "$source"/systemd/courtbridge* "$units"
  systemctl daemon-reload
  running=$(systemctl list-units --state=active --plain --no-legend 'courtbridge*.service' | awk '{print $1}')
  for unit in $running; do
    say "Restarting $unit."
    systemctl restart "$unit"
  done
  say "Installed: $("$link" --version)"
  [ -n "$running" ] || say_what_is_next
}

say_what_is_next() {
  say "Next, as root:"
  for secret in launch27-password wingfield-token; do
    [ -e "$configuration/$secret" ] || say "  (umask 077; systemd-ask-password '$secret:' > $configuration/$secret)"
  done
  say "  editor $configuration/config.toml"
  say "  courtbridge courts    # prints the [[courts]] blocks to paste into it"
  say "  courtbridge check"
  say "  systemctl enable --now courtbridge"
}

remove_it() {
  say "This removes Courtbridge, its state, and the configuration and secrets in $configuration."
  say "The court bookings stay in Wingfield as they are; \"courtbridge withdraw\" takes them back first."
  if [ "${1-}" != --yes ]; then
    [ -t 0 ] || fail "Nobody can be asked here: add --yes"
    printf 'Remove it? [y/N] '
    read -r answer
    [ "$answer" = y ] || fail "Nothing was removed."
  fi
  for unit in $(ours); do
    systemctl disable --now "$unit" 2>/dev/null || systemctl stop "$unit" || true
  done
  rm -rf "$units"/courtbridge* "$units"/*.wants/courtbridge* "$link" "$program" "$configuration" \
    /var/lib/courtbridge /var/lib/private/courtbridge
  systemctl daemon-reload
  systemctl reset-failed 'courtbridge*' 2>/dev/null || true
  say "Removed."
}

[ "$(id -u)" = 0 ] || fail "Call it as root: sudo deploy/install.sh"
case "${1-}" in
  "") install_it ;;
  --remove) remove_it "${2-}" ;;
  *) fail "usage: deploy/install.sh [--remove [--yes]]" ;;
esac
