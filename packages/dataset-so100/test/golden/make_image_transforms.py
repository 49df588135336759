"""Writes image-transforms.json: what torchvision makes of a small image, for the tests of augmentation."""

import json
from pathlib import Path

import torch
import torchvision
from torchvision.transforms.v2 import functional as F
from torchvision.transforms import InterpolationMode
g=torch.Generator().manual_seed(7)
W,H=13,10
img=torch.randint(0,256,(3,H,W),generator=g,dtype=torch.uint8)
img[:,2:5,3:6]=torch.tensor([200,200,200],dtype=torch.uint8)[:,None,None]; img[:,0,0]=0; img[:,0,1]=255
f=img.float()/255
cases=[]
def add(t,out): cases.append({"transform":t,"values":[round(v,6) for v in out.permute(1,2,0).flatten().tolist()]})
for x in (0.8,1.2): add({"name":"brightness","factor":x},F.adjust_brightness(f,x))
for x in (0.8,1.2): add({"name":"contrast","factor":x},F.adjust_contrast(f,x))
for x in (0.5,1.5): add({"name":"saturation","factor":x},F.adjust_saturation(f,x))
for x in (-0.05,0.05,0.31): add({"name":"hue","factor":x},F.adjust_hue(f,x))
for x in (0.5,1.5): add({"name":"sharpness","factor":x},F.adjust_sharpness(f,x))
for d,t in ((5,(0,0)),(-4.2,(1,-1)),(0,(1,0)),(3.3,(-1,1))): add({"name":"affine","degrees":d,"translate":list(t)},F.affine(f,angle=d,translate=list(t),scale=1.0,shear=[0.0,0.0],interpolation=InterpolationMode.NEAREST,fill=0))
json.dump({"torchvision":torchvision.__version__,"torch":torch.__version__,"width":W,"height":H,"data":img.permute(1,2,0).flatten().tolist(),"cases":cases},open(Path(__file__).with_name("image-transforms.json"), "w"))
