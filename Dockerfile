FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/srv/handoff HANDOFF_DATA_DIR=/var/lib/handoff-data

WORKDIR /srv/handoff

COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt

COPY alembic alembic
COPY app app
RUN python -m compileall -q app \
    && printf '#!/bin/sh\nexec python -P -m app.cli "$@"\n' > /usr/local/bin/handoff \
    && chmod 755 /usr/local/bin/handoff \
    && useradd --system --create-home --user-group handoff \
    && install -d -m 700 -o handoff -g handoff "$HANDOFF_DATA_DIR"

USER handoff
VOLUME /var/lib/handoff-data
EXPOSE 8000

# Without HANDOFF_DATABASE_URL the embedded PostgreSQL runs on the volume; production gives an address of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

STOPSIGNAL SIGTERM
CMD ["handoff", "serve", "--host", "0.0.0.0"]
