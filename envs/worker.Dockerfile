# The image of Beam workers on other machines (docs/cloud.md): Beam's own for Python 3.11, what the pipelines import, and this package.
#   .venv/bin/python -c "from setuptools import build_meta; build_meta.build_wheel('dist')"
#   docker build --file envs/worker.Dockerfile --tag IMAGE .
FROM apache/beam_python3.11_sdk:2.77.0
# Arrow's own pools keep what was freed: 70 MB more in every process.
ENV ARROW_DEFAULT_MEMORY_POOL=system
COPY requirements.lock dist/*.whl /tmp/
WORKDIR /tmp
RUN pip install --no-cache-dir --constraint requirements.lock \
    apache-beam brotli docutils filelock google-auth-httplib2 google-cloud-storage google-crc32c isal lxml markdown-it-py mwparserfromhell numpy opencc orjson \
    psutil pyarrow pydantic rjieba sentencepiece tokenizers trafilatura warcio xxhash zstandard \
    && pip install --no-cache-dir --no-deps /tmp/*.whl
