# clerk-proxy, the authorities to trust, and a directory for certificates: nothing
# else. It needs no rights, and writes to /var/lib/clerk-proxy alone.
#
#   docker build -t clerk-proxy .
#   docker run --read-only --cap-drop ALL -p 8080:8080 … clerk-proxy

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN go run ./internal/release -binary /clerk-proxy -platforms "${TARGETOS:-linux}/${TARGETARCH:-$(go env GOARCH)}"
RUN mkdir /state

FROM scratch
LABEL org.opencontainers.image.source="https://github.com/clerkproxy/clerkproxy" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /state /var/lib/clerk-proxy
COPY --from=build /clerk-proxy /clerk-proxy
USER 65532:65532
EXPOSE 8080 25375
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/clerk-proxy", "healthcheck"]
ENTRYPOINT ["/clerk-proxy"]
CMD ["serve", "--listen", ":8080"]
