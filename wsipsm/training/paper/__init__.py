"""The method of the paper as published: the reference that the rest of wsipsm is measured against.

Chen et al., "Exploring Unsupervised Cell Recognition with Prior Self-activation Maps", MICCAI 2023, arXiv
2308.11144; the authors' code: github.com/cpystan/PSM. One straight path:
:func:`wsipsm.training.paper.pipeline.train_paper`.

Where it follows the authors' code rather than the paper's words: the image is divided by 255 for the map and not for
the learning; the clip at 0 stands after each block's scaling and changes nothing; the map's colours stand in the order
blue, green, red beside an RGB image; the point network learns the pseudo mask and no Gaussian; the segmenter learns
the background of the pseudo mask only, nuclei come from the points; the softmax is taken twice.

Where it differs from the authors' code, and why:

======================= ======================================= =====================================================
piece                   authors' code                           here, and why
======================= ======================================= =====================================================
choice of the epoch     the best AJI on the annotated test set  the last step: no annotation is ever seen
training images         leaves out a tenth in turn each epoch,  all: what is left out is used for nothing
                        for a validation that is not made
batches                 the last of an epoch is smaller         always full: the contrastive task needs a negative
random state            global, one seed at the start           drawn from (seed, step): a killed run resumes exactly
first weights (U-Nets)  ResNet-34 learnt on ImageNet            random: no downloads, no labels of any kind
rotation task           one output for 1000 logits, squared     four logits and cross entropy, as its source has it;
                        error to the number of turns; batch     each image its own turn
                        turned as one
SimSiam task            absolute difference of two linear       negative cosine of a predictor and a 128-vector, as
                        layers' single outputs, though named    its source has it; no batch norm in the predictor, a
                        negative cosine                         batch may be one image
map of other tasks      one output only                         rotation: the upright logit; SimSiam: sum of outputs
sign of the map         left to chance; the weights used are    turned over where bright pixels are higher: the sign
                        called best, chosen how is not told     depends on the seed; ``maps.dark_is_high: false``
                                                                leaves it
contrastive negative    the images after the third              the last image of the batch, of whatever size
k-means                 OpenCV, all pixels                      scikit-learn, fitted on 50 000 pixels of the image
                                                                and applied to all: several times faster, seeded
blank image             three clusters of noise                 fewer than three colours: an empty mask
small objects           a mask of integers reaches              really dropped below 200 px, as the paper says
                        scikit-image, which takes it for one
                        labelled object: none is dropped
peak threshold          0.5; the 0.6 that is passed in only     0.6, as passed in
                        draws a picture
too few points          four points at random                   a diagram of the points there are; edges from two on
Voronoi cells           polygons, clipped, drawn and eroded     nearest point of every pixel; the same edges of two
                                                                pixels, without gaps where polygons are rounded
Voronoi of test images  made too                                not made: nothing learns from them
no pixel to learn from  the loss is not a number                the loss of that target is 0
U-Net skip borders      reflected where sizes differ            the image is padded to whole strides beforehand
instances               8-connected components                  the same; ``segmenter.instances: watershed`` cuts them
                                                                from the peaks of the segmenter's own probability
evaluation              512 px centre crop                      the benchmark gives both, crop and whole image
======================= ======================================= =====================================================
"""
