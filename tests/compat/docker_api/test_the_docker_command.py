"""Docker's own command line says and does the same on our daemon as on Debian's dockerd, but for ids and times.

Each case is a script of commands that both daemons get. What a daemon says of an error is worded by each; that it says
one is compared.
"""

from __future__ import annotations

import re
import shlex

import pytest

import registries

pytestmark = [pytest.mark.root, pytest.mark.slow]

_WHILE = "trap 'exit 3' TERM; while true; do sleep 0.1; done"

SCRIPTS = {
    "run gives output and exit code": """
        run --rm busybox echo hello
        run --rm busybox sh -c 'echo out; echo err >&2; exit 7'
        run --rm -i busybox cat
        run --rm busybox nosuchprogram
        run --rm busybox /etc/passwd
        run --rm -e A=1 -e B busybox sh -c 'echo $A'
        run --rm -w /tmp busybox pwd
        run --rm -u 1000:1000 busybox id
        run --rm -u app busybox id -u
        run --rm --group-add 29 busybox id -G
        run --rm -h box --domainname example.org busybox hostname
        run --rm --read-only busybox touch /x
        run --rm --tmpfs /t:size=1m,mode=700 busybox stat -c %a /t
        run --rm --entrypoint echo busybox words
        run --rm --entrypoint '' busybox echo reset
        run --rm --ulimit nofile=100:200 busybox sh -c 'ulimit -n'
        run --rm --cap-drop ALL --cap-add CHOWN busybox grep CapEff /proc/self/status
        run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status
        run --rm --sysctl net.ipv4.ip_default_ttl=42 busybox cat /proc/sys/net/ipv4/ip_default_ttl
        run --rm --shm-size 2m busybox df -k /dev/shm
        run --rm --add-host one:10.0.0.1 busybox grep one /etc/hosts
        run --rm --dns 10.9.8.7 busybox grep nameserver /etc/resolv.conf
        run --rm --network none busybox ls /sys/class/net
        run --rm -t busybox tty
        run --rm --init busybox sh -c 'cat /proc/1/comm | wc -l'
        run --rm --memory 20m busybox sh -c 'echo $$'
        run --rm --pids-limit 100 busybox echo limited
    """,
    "a container from create to rm": """
        create --name life -l a=b -e X=y busybox sh -c "$WHILE"
        ps -a --format '{{.Names}} {{.Status}} {{.Image}} {{.Labels}}'
        start life
        ps --format '{{.Names}} {{.Image}} {{.Command}} {{.State}}'
        ps --no-trunc --format '{{.Command}}'
        ps -q --filter name=nothing
        ps --filter label=a=b --format '{{.Names}}'
        ps --filter status=exited --format '{{.Names}}'
        exec life echo in
        exec -e Q=1 -w /tmp life sh -c 'echo $Q; pwd; exit 5'
        exec -u app life id -u
        exec -i life cat
        exec -t life tty
        exec -d life touch /made
        exec nosuch true
        inspect -f '{{.State.Status}} {{.Config.Image}} {{.Name}} {{.Path}} {{.RestartCount}}' life
        inspect -f '{{json .Config.Env}} {{json .Config.Cmd}} {{.Config.Labels.a}}' life
        inspect -f '{{.HostConfig.RestartPolicy.Name}}' life
        top life -o comm
        stats --no-stream --format '{{.Name}}' life
        stats --no-stream nosuch
        pause life
        ps --filter status=paused --format '{{.Names}} {{.State}}'
        exec life true
        pause life
        unpause life
        unpause life
        update --memory 64m --memory-swap 128m --restart on-failure:3 life
        inspect -f '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}' life
        update --restart no life
        diff life
        cp life:/etc/nosuch -
        exec life sh -c 'mkdir -p /d/e && echo deep > /d/e/f && ln -s e/f /d/l'
        cp life:/d/. /nosuch/place
        cp /etc/nosuch life:/
        cp /etc/debian_version life:/copied
        exec life cat /copied
        cp /etc/debian_version life:/d
        exec life ls /d
        commit -m said -c 'CMD echo committed' life made:1
        run --rm made:1
        run --rm made:1 cat /d/e/f
        history --format '{{.Comment}}' -q made:1
        image inspect -f '{{json .Config.Cmd}} {{json .Config.Labels}}' made:1
        rmi made:1
        commit nosuch made:2
        rm life
        rename life lives
        logs lives
        rm lives
        stop lives
        inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Running}}' lives
        start lives
        restart -t 2 lives
        kill -s KILL lives
        wait lives
        kill lives
        port lives
        rm lives
        rm lives
        rm -f lives
        stop lives
    """,
    "logs": """
        run --name talks busybox sh -c 'for i in 1 2 3; do echo out $i; done'
        logs talks
        logs --tail 2 talks
        logs --tail 0 talks
        logs -f talks
        start -a talks
        run --rm busybox sh -c 'echo err >&2'
        logs nosuch
        rm talks
    """,
    "volumes": """
        volume create data
        volume create --label a=b more
        volume ls
        volume ls -q -f label=a=b
        run --rm -v data:/d busybox sh -c 'echo kept > /d/f'
        run --rm -v data:/d:ro busybox cat /d/f
        run --rm -v data:/d:ro busybox touch /d/g
        run --rm --mount type=volume,src=data,dst=/d busybox ls /d
        run --rm --mount type=tmpfs,dst=/t,tmpfs-mode=700 busybox stat -c %a /t
        run --rm -v /nosuchdirectoryatall/x/../y:/d busybox true
        volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}}' data
        volume rm nosuch
        create --name holds -v data:/d busybox
        inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}' holds
        volume rm data
        rm holds
        volume rm data more
        volume ls
    """,
    "images": """
        images --format '{{.Repository}}:{{.Tag}}'
        tag busybox other:1
        tag nosuch other:2
        images --format '{{.Repository}}:{{.Tag}}' other
        images -q --filter reference=nothing*
        history --format '{{.CreatedBy}}' other:1
        image inspect -f '{{.Os}} {{json .RepoTags}}' other:1
        image inspect nosuch
        rmi other:1
        rmi other:1
        pull localhost:1/nothing:x
    """,
    "health and export": """
        create --name well --health-cmd true --health-interval 1h --health-retries 7 busybox sleep 1000
        inspect -f '{{json .Config.Healthcheck}} {{.State.Health}}' well
        export -o /dev/null nosuch
        export -o /dev/null well
        start well
        inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{len .State.Health.Log}}' well
        ps --filter health=starting --format '{{.Names}}'
        ps --filter health=healthy --format '{{.Names}}'
        ps -a --filter health=none --format '{{.Names}}'
        ps -a --filter health=ill
        export -o /dev/null well
        rm -f well
        run -d --name ill --health-cmd 'echo said; exit 3' --health-interval 100ms --health-retries 1 busybox sleep 1
        wait ill
        inspect -f '{{.State.Health.Status}} {{(index .State.Health.Log 0).ExitCode}}' ill
        inspect -f '{{(index .State.Health.Log 0).Output}}' ill
        ps -a --filter health=unhealthy --format '{{.Names}}'
        rm ill
        run -d --name ill --health-cmd 'sleep 5' --health-interval 100ms --health-timeout 300ms busybox sleep 1
        wait ill
        inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' ill
        rm ill
        run --rm --health-interval 1ns busybox true
        run --rm --no-healthcheck --health-cmd true busybox true
    """,
    "networks": """
        network create inner
        network create inner
        network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'
        network inspect -f '{{.Name}} {{.Driver}} {{.Internal}} {{.Attachable}}' inner
        run -d --name web --network inner --network-alias www busybox httpd -f -h /etc
        run --rm --network inner busybox wget -q -O - http://web/group
        run --rm --network inner busybox wget -q -O - http://www/group
        inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' web
        network rm inner
        rm -f web
        network rm inner
        network rm inner
        run --rm --network nosuch busybox true
        run --rm --network host busybox true
    """,
    "restart policies and endings": """
        run -d --name again --restart on-failure:2 busybox false
        wait again
        rm -f again
        run -d --name ever --restart always busybox sh -c 'sleep 2; exit 4'
        wait ever
        rm ever
        rm -f ever
        run --rm --restart always busybox true
        run --name gone -d busybox true
        wait gone
        ps -a --filter exited=0 --format '{{.Names}}'
        container prune -f --filter label=none
        rm gone
        ps -aq
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_the_same_output_and_exit_codes_as_on_dockerd(ours, theirs, name: str) -> None:
    differences = []
    for line in SCRIPTS[name].strip().splitlines():
        words = [word.replace("$WHILE", _WHILE) for word in shlex.split(line.strip())]
        stdin = "typed\n" if "-i" in words else None
        expected, got = _outcome(theirs(*words, stdin=stdin)), _outcome(ours.docker(*words, stdin=stdin))
        if expected != got:
            differences.append(f"docker {line.strip()}\n  dockerd: {expected}\n  estiba:  {got}")
    assert not differences, "\n" + "\n".join(differences)


def test_a_registrys_catalog_is_searched(ours, tmp_path) -> None:
    server = registries.Server(str(tmp_path / "registry")).start()
    try:
        for name in ("team/app", "other"):
            server.push_image(name, "1", b"layer")
        form = ("--format", "{{.Name}} {{.StarCount}}")
        assert ours.docker("search", *form, f"{server.address}/app").stdout == f"{server.address}/team/app 0\n"
        assert ours.docker("search", "--filter", "is-official=true", *form, f"{server.address}/app").stdout == ""
    finally:
        server.terminate()
        server.wait()
    refused = ours.docker("search", "nginx")
    assert refused.returncode == 1 and "Docker Hub" in refused.stderr


def _outcome(done) -> tuple[int, str, str]:
    """Exit code, output, and errors up to where a daemon has its own words."""
    errors = re.sub(r"(Error response from daemon: ).*", r"\1…", done.stderr, flags=re.DOTALL)
    return done.returncode, _without_ids(done.stdout), _without_ids(errors)


def _without_ids(text: str) -> str:
    return re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "<id>", text)
