//go:build tools

// Package tools names what go.mod pins: h2spec, which has no go.mod of its own.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
