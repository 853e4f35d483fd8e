#!/bin/sh
# Notes in the file $1 that a hook was run, and in which state.
echo "$2 $LEADERD_STATE" >> "$1"
