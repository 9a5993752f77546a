# Each target is one script; CI calls the same ones.
.PHONY: help demo test test-all test-rootless test-runtimes test-userns stress fuzz lint bench bench-images docs clean

help:
	@echo "make demo    from a Dockerfile to a running, self-updating service (KEEP=1 leaves it running)"
	@echo "make test    set up, lint and run every test but the long ones"
	@echo "make test-all  the same, with the tests that take long"
	@echo "make test-rootless  the feature tests as an ordinary user"
	@echo "make test-runtimes  the tests of containers with crun and runc in place of our own runtime"
	@echo "make test-userns  every feature test with ids of its own for each container (--userns=auto)"
	@echo "make stress  1000 containers, 100 at once, kill -9 at every step"
	@echo "make fuzz    parsers of what strangers write, with ever new bytes for a minute each"
	@echo "make lint    style, types, direction of imports"
	@echo "make bench   Estiba beside the peers that are installed; writes docs/benchmarks.md"
	@echo "make bench-images  the same for layers and images of 1 GB, which takes longer; make bench bench-images is all"
	@echo "make docs    check that the documents name real files and commands"
	@echo "make clean   remove what these targets made here"

demo:
	@KEEP="$(KEEP)" scripts/demo

test test-all test-rootless test-runtimes test-userns stress fuzz lint bench bench-images docs clean:
	@scripts/$@
