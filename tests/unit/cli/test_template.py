"""Templates as people write them for Docker's tools."""

from __future__ import annotations

import pytest

from estiba.cli.template import BadTemplate, Template, go_text

VALUE = {
    "Id": "sha256:1",
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "x"}, "Cmd": None, "Tty": False},
    "Mounts": [{"Name": "one"}, {"Name": "two"}],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{{.Id}}", "sha256:1"),
        ("{{ .Config.Env }}", "[A=1 B=2]"),
        ("{{.Config.Cmd}} {{.Config.Tty}}", "<nil> false"),
        ("{{json .Config.Env}}", '["A=1","B=2"]'),
        ("{{.Config.Labels | json}}", '{"a.b":"x"}'),
        ('{{index .Config.Labels "a.b"}}', "x"),
        ("{{index .Config.Labels `none`}}", ""),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range .Mounts}}{{.Name}};{{end}}", "one;two;"),
        ("{{range .Config.Labels}}{{.}}{{else}}none{{end}}", "x"),
        ("{{if .Config.Cmd}}a{{else if .Config.Tty}}b{{else}}c{{end}}", "c"),
        ("{{if .Id}}a{{end}}", "a"),
        ('{{join .Config.Env ", "}}', "A=1, B=2"),
        ("{{len .Config.Env}}", "2"),
        ("{{len (index .Config.Env 0)}}", "3"),
        ("{{upper .Id}}\\t{{lower .Id}}", "SHA256:1\tsha256:1"),
        ('{{eq .Id "sha256:1"}} {{ne .Id "x"}} {{not .Id}}', "true true false"),
        ("{{if and .Id (eq .Config.Tty false)}}yes{{end}}", "yes"),
        ("a {{- .Id -}} b", "asha256:1b"),
        ("{{/* nothing */}}x", "x"),
        ("{{println}}", "\n"),
    ],
)
def test_a_template_is_rendered_as_go_does(template, expected):
    assert Template(template).render(VALUE) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Nope}}", "no field 'Nope'; there are Id, Config, Mounts"),
        ("{{.Id.Deeper}}", "there is no field 'Deeper'"),
        ("{{.Id", "not closed"),
        ("{{}}", "empty action"),
        ("{{end}}", "without a beginning"),
        ("{{if .Id}}", "no {{end}}"),
        ("{{with .Id}}{{end}}", "'with' is not there yet"),
        ("{{$x := 1}}", "is not there yet"),
        ("{{nosuch .Id}}", "there is no such function"),
        ("{{range .Id}}{{end}}", "which is no list"),
        ("{{(.Id}}", "parenthesis is not closed"),
        ('{{index .Config.Env "x"}}', "cannot index"),
    ],
)
def test_what_cannot_be_read_is_named(template, message):
    with pytest.raises(BadTemplate) as caught:
        Template(template).render(VALUE)
    assert message in caught.value.message


def test_values_are_printed_as_go_prints_them():
    assert go_text({"b": [1, True, None], "a": "x"}) == "map[a:x b:[1 true <nil>]]"
