//! Commands between the processes of the platform, over gRPC.
