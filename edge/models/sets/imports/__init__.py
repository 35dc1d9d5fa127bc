"""Labels that other tools wrote: CSV, MVTec AD's masks, COCO, Label Studio."""
