#!/bin/sh
# Lets an SSH key do nothing but tell service_manager the states of systemd's units. The key's line in authorized_keys:
#
#   restrict,command="@PATH@" ssh-ed25519 AAAA...
#
# What the client wants to run, sshd puts into SSH_ORIGINAL_COMMAND. It is compared and taken apart here, and never run: what
# runs is the text in this file. All else ends with exit status 126, a line on stderr and one in the log (authpriv.warning).
#
# Written by `service_manager authorized-keys --wrapper`. Do not edit: write it again after an upgrade of the collector.
set -fu
LC_ALL=C IFS=' '
export LC_ALL

# shellcheck disable=SC2016 # They are for another shell.
show='@SHOW@'

# shellcheck disable=SC2016
list='@LIST@'

# shellcheck disable=SC2016
stream='@STREAM@'

properties=' @PROPERTIES@ '
maximum=@MAXIMUM@ # bytes

# refuse WHY
refuse() {
	echo "@REFUSAL@ ($1): this key may only report status; after an upgrade of the collector install" \
		"this script anew: service_manager authorized-keys --wrapper" >&2
	from=${SSH_CONNECTION-unknown}
	wanted=$(printf %.600s "${arguments:-$command}" | tr -c ' -~' '?')
	timeout 5 logger -t service_manager-report -p authpriv.warning \
		"refused to ${LOGNAME-unknown} from ${from%% *} ($1): $wanted" </dev/null >/dev/null 2>&1
	exit 126
}

# check_properties NAME,NAME...
check_properties() {
	case ,$1, in *,,*) refuse 'an empty property' ;; esac
	IFS=,
	for name in $1; do
		case $properties in *" $name "*) ;; *) refuse 'another property' ;; esac
	done
	IFS=' '
}

# check_groups NONCE NAME,NAME... [NAME,NAME.../UNIT,UNIT...]...
check_groups() {
	[ $# -le 13 ] || refuse 'arguments' # There are eleven types of units.
	check_properties "$2"
	shift 2
	for group; do
		case $group in
		*/*/* | *[]*?^[]*) refuse 'a unit' ;;
		?*/?*) check_properties "${group%/*}" ;;
		*) refuse 'arguments' ;;
		esac
	done
}

# check_show NONCE NAME,NAME... [NAME,NAME.../UNIT,UNIT...]...
check_show() {
	[ $# -ge 2 ] || refuse 'arguments'
	check_nonce "$1"
	check_groups "$@"
}

check_nonce() {
	[ ${#1} -eq 32 ] || refuse 'nonce'
	case $1 in *[!0-9a-f]*) refuse 'nonce' ;; esac
}

# check_lines hands on what is on standard input while it is questions, a line each. A nonce alone asks the same again.
check_lines() {
	known=
	while IFS= read -r arguments; do
		[ ${#arguments} -le "$maximum" ] || refuse 'too long'
		if [ "$known" ] && [ ${#arguments} -eq 32 ]; then
			check_nonce "$arguments"
		else
			case $arguments in *[!]A-Za-z0-9:_.,/@\\*?^[\ -]*) refuse 'a character' ;; esac
			# shellcheck disable=SC2086 # As below.
			check_show $arguments
			known=yes
		fi
		printf '%s\n' "$arguments"
	done
}

arguments=
command=${SSH_ORIGINAL_COMMAND-}
[ "$command" ] || refuse 'no command'
if [ "$command" = "@STREAM_START@$stream@STREAM_END@" ]; then
	check_lines | sh -c "$stream" sh
	exit
fi
[ ${#command} -le "$maximum" ] || refuse 'too long'

# The start, byte by byte but for the limit, which is up to 999 seconds: 0.25, 7.2, 120.
limit=${command#"@START@"}
limit=${limit%%[!0-9.]*}
start="@START@$limit@SCRIPT_START@"
end="@SCRIPT_END@"
case $command in
"$start$show$end"*) question=$show ;;
"$start$list$end"*) question=$list ;;
*) refuse 'another command' ;;
esac
case $limit in
*.*.* | *. | .* | 0[0-9]* | [0-9][0-9][0-9][0-9]*) refuse 'time limit' ;;
*[1-9]*) ;;
*) refuse 'time limit' ;;
esac

# Behind it words of names, in which a backslash protects the next character from the login shell, which did not run.
arguments=${command#"$start$question$end"}
case $arguments in *[!]A-Za-z0-9:_.,/@\\*?^[\ -]*) refuse 'a character' ;; esac
case $arguments in *\\*) arguments=$(printf '%s\n' "$arguments" | sed 's/\\\(.\)/\1/g') ;; esac
# shellcheck disable=SC2086 # It is split at spaces, and with "set -f" at nothing else.
set -- $arguments
if [ "$question" = "$list" ]; then
	[ $# -ge 2 ] || refuse 'arguments'
	check_nonce "$1"
	[ $# -eq 2 ] || refuse 'arguments' # NONCE GLOB,GLOB...
	case $2 in */*) refuse 'a glob' ;; esac
else
	check_show "$@"
fi

exec timeout -k 1 "$limit" sh -c "$question" sh "$@"
