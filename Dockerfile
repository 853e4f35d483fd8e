# Both stages need the same interpreter: the second runs the environment that the first has made.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/leaderd
# The dependencies alone first: a change of leaderd's own code does not fetch them again.
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        >requirements.txt \
    && /opt/leaderd/bin/pip install --no-cache-dir --requirement requirements.txt
COPY LICENSE README.md ./
COPY leaderd leaderd
RUN /opt/leaderd/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && /opt/leaderd/bin/pip install --no-cache-dir --no-deps /wheels/leaderd-*.whl \
    && /opt/leaderd/bin/pip uninstall --yes --quiet setuptools pip
COPY deploy/docker /opt/leaderd/libexec

FROM ${PYTHON_IMAGE}
# A process of an ordinary user gets no capability from --cap-add alone. A copy of the interpreter may take
# those that the container was given (libexec/entrypoint.py); where none were given it changes nothing.
RUN groupadd --gid 10001 leaderd \
    && useradd --uid 10001 --gid leaderd --home-dir /var/lib/leaderd --no-create-home --shell /usr/sbin/nologin leaderd \
    && install --directory --owner=leaderd --group=leaderd --mode=0700 /var/lib/leaderd /run/leaderd
COPY --from=build /opt/leaderd /opt/leaderd
RUN python3 /opt/leaderd/libexec/interpreter.py /opt/leaderd/bin/python-privileged
USER leaderd
ENV PATH=/opt/leaderd/bin:$PATH \
    LEADERD_STATE_DIR=/var/lib/leaderd \
    LEADERD_SOCKET=/run/leaderd/leaderd.sock
# What a node knows of tokens and of hooks that it still has to run must outlive the container.
VOLUME /var/lib/leaderd
HEALTHCHECK --interval=5s --timeout=4s --start-period=15s --retries=3 \
    CMD ["/opt/leaderd/bin/python3", "-I", "-S", "/opt/leaderd/libexec/health.py"]
ENTRYPOINT ["/opt/leaderd/bin/python-privileged", "-I", "-S", "/opt/leaderd/libexec/entrypoint.py"]
CMD ["run"]
