#!/usr/bin/env bash
# regress_tree.sh: build/regress for `make installcheck`: sql-tests and expected under the names that pg_regress wants.
# The server reads the test models as a user of its own: where the checkout is closed to others (/root), the tree is a copy
# outside of it.
. src/tools/setup.sh

open_to_others()
{
	local path=$TOP
	while [ "$path" != / ]; do
		case $(stat -c %A "$path") in
			*[xt]) path=$(dirname "$path") ;;
			*) return 1 ;;
		esac
	done
}

mkdir -p build
if open_to_others; then
	[ ! -L build/regress ] || { rm -rf "$(readlink build/regress)"; rm build/regress; }
	mkdir -p build/regress
	ln -sfn "$TOP/sql-tests" build/regress/sql
	ln -sfn "$TOP/expected" build/regress/expected
else
	[ -L build/regress ] && [ -d build/regress ] || { rm -rf build/regress; outside_folder build/regress; }
	rm -rf build/regress/sql build/regress/expected
	cp -r sql-tests build/regress/sql
	cp -r expected build/regress/expected
	chmod -R a+rX build/regress/
fi
