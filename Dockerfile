# CPU:  docker build -t cosplace .
#       docker run --rm --shm-size 2g -v "$PWD:/work" cosplace demo
#       a page that localizes photos: see docs/guides/serve.md
# CUDA: docker build -t cosplace:cuda --build-arg TORCH=cuda .
#       docker run --rm --gpus all --shm-size 2g -v "$PWD:/work" cosplace:cuda train --dataset-folder sf-xl/processed
#
# --shm-size: loader processes pass batches through shared memory. Docker's default of 64 MB is too little for training.
FROM python:3.13-slim

# cpu, or cuda: PyPI's version of torch, which contains CUDA
ARG TORCH=cpu
RUN if [ "$TORCH" = cpu ]; then \
        pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu; \
    else \
        pip install --no-cache-dir torch torchvision; \
    fi

COPY . /tmp/source
RUN pip install --no-cache-dir '/tmp/source[heif,serve,store]' && rm -r /tmp/source

WORKDIR /work
ENTRYPOINT ["cosplace"]
CMD ["--help"]
