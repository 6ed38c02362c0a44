"""The main job on a Dask cluster: plan, tiles, resume, outputs."""
