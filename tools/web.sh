#!/bin/sh
# Scripts, styles and templates: `check` lints them and fails where a formatter would change a file, `format` lets it.
# Usage: sh tools/web.sh check|format [folder of the environment's programs]
set -eu

action=$1
bin=${2:-.venv/bin}
scripts=templates/static

case $action in
check)
	"$bin/oxlint" --config tools/oxlint.json --deny-warnings "$scripts"
	"$bin/oxfmt" --config tools/oxfmt.json --check "$scripts/*.js" "$scripts/**/*.css"
	"$bin/djlint" --lint --check --quiet --rules tools/djlint_rules.yaml templates
	;;
format)
	"$bin/oxfmt" --config tools/oxfmt.json "$scripts/*.js" "$scripts/**/*.css"
	"$bin/djlint" --reformat --quiet templates
	;;
*)
	echo "web.sh: $action is not an action; use check or format" >&2
	exit 2
	;;
esac
