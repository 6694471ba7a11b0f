#!/bin/bash
# SPDX-License-Identifier: ISC
# What is tried in the machine that run.sh starts, with the package installed
# and enabled. Each step says what it saw; the last line of a good run is
# "vm: ok".
set -eu

say() {
	echo "vm: $*"
}

fail() {
	say "FAILED: $*"
	systemctl status --no-pager --lines=0 flyball.service || true
	journalctl -b --no-pager -n 40 -o short-monotonic || true
	journalctl -k -b --no-pager | grep -a apparmor= | tail -20 || true
	exit 1
}

until_true() { # SECONDS COMMAND...
	local left=$1
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 1
	done
}

property() {
	systemctl show --value -p "$1" flyball.service
}

main_pid() {
	property MainPID
}

confinement() {
	cat "/proc/$(main_pid)/attr/current"
}

queued_is() {
	[ "$(flyballctl --json queue | grep -o '"message"' | wc -l)" = "$1" ]
}

submit() {
	swaks -s 127.0.0.1 -p "${1:-2525}" -f a@sender.example -t c@gmail.com \
		--h-Subject test --hide-all
}

delivered_is() {
	[ "$(grep -c '"event":"delivered"' /var/log/flyball/events.jsonl)" = "$1" ]
}

# What AppArmor would have refused (complain) or has (enforce).
denials() {
	journalctl -k -b --no-pager | grep -a 'profile="flyballd"' |
		grep -aE 'apparmor="(ALLOWED|DENIED)"' || true
}

start_postfix() {
	postconf -M '127.0.0.1:10025/inet=127.0.0.1:10025 inet n - y - - smtpd -o syslog_name=postfix/flyball -o smtpd_recipient_restrictions=permit_mynetworks,reject'
	postconf -e 'relayhost = [127.0.0.1]:2600' 'inet_interfaces = loopback-only' 'inet_protocols = ipv4' \
		'smtp_tls_security_level = none'
	systemctl restart postfix@-.service || fail "Postfix: $(systemctl status --no-pager -l postfix@-.service)"
	printf 'listen: "127.0.0.1:2600"\nduration: 3600s\nproviders:\n  gmail: {domains: ["*"], rate: 40/s}\n' > /run/world.yaml
	systemd-run -q --unit=provider /usr/local/bin/flyball-provider -w /run/world.yaml
}

say "kernel $(uname -r), systemd $(systemctl --version | sed -n '1s/.*(\(.*\))/\1/p')"
until_true 60 systemctl is-active flyball.service || fail "the package's service isn't active"
say "active as installed: $(property Type), user $(property User), pid $(main_pid)"
[ "$(ps -o user= -p "$(main_pid)")" = flyball ] || fail "not its own user"
case $(confinement) in
"flyballd (complain)") say "AppArmor: $(confinement)" ;;
*) fail "AppArmor: $(confinement)" ;;
esac

start_postfix
cat > /etc/flyball/flyball.yaml <<'END'
listeners: [{listen: "127.0.0.1:2525", tls: none, auth: none, trusted: [127.0.0.0/8, "::1"]}]
daemon:
  http: {listen: "127.0.0.1:8025"}
  event_log: /var/log/flyball/events.jsonl
routes: {postfix: {next_hop: "127.0.0.1:10025", tls: none}}
feedback: {postfix_log: {journal: yes}}
END
mkdir -p /etc/systemd/system/flyball.service.d
printf '[Service]\nSupplementaryGroups=systemd-journal\n' > /etc/systemd/system/flyball.service.d/journal.conf
systemctl daemon-reload
systemctl restart flyball.service || fail "no restart with the journal"

run_mail() { # NUMBER: how many are delivered when this one is
	submit || fail "mail isn't taken"
	until_true 60 delivered_is "$1" || fail "mail $1 isn't told as delivered by Postfix' journal"
}

run_mail 1
say "a message went through Postfix to the provider, and the journal said so"
systemctl reload flyball.service || fail "reload"
run_mail 2
say "reload"

systemctl stop postfix@-.service
before=$(main_pid)
submit
systemctl kill -s KILL flyball.service
until_true 60 systemctl is-active flyball.service || fail "not started again after kill -9"
[ "$(main_pid)" != "$before" ] || fail "the same process after kill -9"
queued_is 1 || fail "the queue after kill -9"
systemctl start postfix@-.service
until_true 120 delivered_is 3 || fail "what was queued at kill -9 isn't delivered"
say "kill -9: started again by systemd, the queue whole and delivered"

before=$(main_pid)
kill -STOP "$before"
until_true 120 test ! -e "/proc/$before" || fail "the watchdog doesn't end a stopped daemon"
until_true 60 systemctl is-active flyball.service || fail "not started again by the watchdog"
say "watchdog: a daemon that stood still was ended and started again"

score=$(systemd-analyze security --no-pager flyball.service | tail -1)
say "systemd-analyze security${score#*service}"

allowed=$(denials)
[ -z "$allowed" ] || fail "AppArmor's profile lacks: $allowed"
sed -i 's/ flags=(complain)//' /etc/apparmor.d/usr.sbin.flyballd
apparmor_parser -r /etc/apparmor.d/usr.sbin.flyballd
systemctl restart flyball.service || fail "no restart with AppArmor enforcing"
[ "$(confinement)" = "flyballd (enforce)" ] || fail "AppArmor: $(confinement)"
run_mail 4
logrotate -f /etc/logrotate.d/flyball || fail "logrotate"
[ -s /var/log/flyball/events.jsonl.1 ] || fail "logrotate left no events.jsonl.1"
run_mail 1
denied=$(denials)
[ -z "$denied" ] || fail "AppArmor refuses what is needed: $denied"
say "AppArmor enforcing: start, mail, journal, logrotate; nothing refused"

sed -i 's/postfix_log: {journal: yes}/postfix_log: {path: \/srv\/mail.log}/; s/127.0.0.1:2525/127.0.0.1:587/' /etc/flyball/flyball.yaml
echo > /srv/mail.log
systemctl restart flyball.service || true
until_true 60 systemctl is-active flyball.service || fail "port 587"
submit 587 || fail "port 587 takes no mail"
say "port 587 without root"
denials | grep -q 'name="/srv/mail.log"' || fail "AppArmor let it read /srv/mail.log"
say "AppArmor refuses a log that its profile doesn't name"

systemctl stop flyball.service
sed -i 's/127.0.0.1:587/127.0.0.1:2525/' /etc/flyball/flyball.yaml
systemctl start flyball.socket || fail "socket"
[ "$(systemctl is-active flyball.service)" != active ] || fail "started before anybody came"
submit || fail "the socket takes no mail"
systemctl is-active -q flyball.service || fail "not started by its socket"
systemctl restart flyball.service
submit || fail "the socket takes no mail after a restart"
say "socket activation"

systemctl stop flyball.socket flyball.service
[ "$(property Result)" = success ] || fail "ended with $(property Result)"
say ok
